"""The decision about a request, held to rate limits that others wrote, and to what settling may and may not do."""

from collections.abc import Iterator
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from chatfleet_api.domain.quota import Demand
from chatfleet_api.limits.buckets import LONGEST_DEBT, Buckets
from chatfleet_api.limits.verdict import SECOND

few = settings(max_examples=40)
TENANT = "acme"
START = 1_000_000 * SECOND


def demand(limit: int, seconds: int, cost: int = 1, unit: str = "requests") -> Demand:
    """Return a demand on a meter that allows `limit` at once, all of which comes back in `seconds`."""
    return Demand(f"tenant:{unit}", unit, limit, seconds * SECOND / limit, cost)  # type: ignore[arg-type]


class Window:
    """A moving window of the `limits` package, at a time of the test's own."""

    def __init__(self, limit: int, seconds: int) -> None:
        with patch("threading.Timer"):  # its thread would expire entries by the clock of the machine
            storage = MemoryStorage()
        self._item = RateLimitItemPerSecond(limit, seconds)
        self._limiter = MovingWindowRateLimiter(storage)

    def hit(self, now: float, cost: int = 1) -> bool:
        with patch("time.time", lambda: now / SECOND):
            return self._limiter.hit(self._item, cost=cost)


requests = st.lists(st.tuples(st.integers(0, 3_000_000), st.integers(1, 4)), max_size=40)
"""Microseconds since the request before, and what it costs."""


def moments(steps: list[tuple[int, int]]) -> Iterator[tuple[float, int]]:
    now = START
    for pause, cost in steps:
        now += pause
        yield now, cost


@few
@given(limit=st.integers(4, 12), seconds=st.integers(1, 10), steps=requests)
@example(limit=4, seconds=1, steps=[(0, 4), (1_000_000, 4), (1_000_000, 4)])
def test_whatever_a_moving_window_lets_pass_does_pass(limit: int, seconds: int, steps: list[tuple[int, int]]) -> None:
    window, buckets = Window(limit, seconds), Buckets()
    for number, (now, cost) in enumerate(moments(steps)):
        if window.hit(now, cost):
            verdict = buckets.reserve(TENANT, f"{number}", (demand(limit, seconds, cost),), now)
            assert verdict.refused is None


@few
@given(limit=st.integers(4, 12), seconds=st.integers(1, 10), steps=requests)
def test_no_more_passes_in_any_window_than_a_burst_and_what_comes_back(
    limit: int, seconds: int, steps: list[tuple[int, int]]
) -> None:
    window, buckets = Window(2 * limit, seconds), Buckets()  # all at once, and as much again within the window
    for number, (now, cost) in enumerate(moments(steps)):
        if buckets.reserve(TENANT, f"{number}", (demand(limit, seconds, cost),), now).refused is None:
            assert window.hit(now, cost)


@few
@given(limit=st.integers(4, 12), seconds=st.integers(1, 10), steps=requests)
def test_the_wait_is_true(limit: int, seconds: int, steps: list[tuple[int, int]]) -> None:
    buckets = Buckets()
    for number, (now, cost) in enumerate(moments(steps)):
        asked = (demand(limit, seconds, cost),)
        verdict = buckets.reserve(TENANT, f"{number}", asked, now)
        if verdict.refused is not None:
            assert (
                buckets.reserve(TENANT, f"{number} early", asked, now + 0.9 * verdict.wait - 2000).refused is not None
            )
            assert buckets.reserve(TENANT, f"{number} then", asked, now + verdict.wait).refused is None
            return


@few
@given(
    steps=st.lists(st.tuples(st.integers(0, 2_000_000), st.integers(1, 10), st.integers(0, 10)), max_size=30),
    pauses=st.lists(st.integers(0, 4_000_000), min_size=30, max_size=30),
)
def test_settling_gives_back_no_more_than_was_not_used(steps: list[tuple[int, int, int]], pauses: list[int]) -> None:
    """Those who knew beforehand what they would use may at no time have less left than those who had to reserve it."""
    reserving, knowing, now = Buckets(), Buckets(), START
    events: list[tuple[float, int, str]] = []
    for number, (pause, reserved, used) in enumerate(steps):
        now += pause
        events += [(now, number, "reserve"), (now + pauses[number], number, "settle")]
        steps[number] = (pause, reserved, min(reserved, used))
    for at, number, what in sorted(events, key=lambda event: (event[0], event[2] == "settle")):
        _, reserved, used = steps[number]
        if what == "settle":
            reserving.settle(TENANT, f"{number}", [("tenant:tokens", used)], at)
        elif reserving.reserve(TENANT, f"{number}", (demand(10, 10, reserved, "tokens"),), at).refused is None:
            assert knowing.reserve(TENANT, f"{number}", (demand(10, 10, used, "tokens"),), at).refused is None


def test_what_has_come_back_by_itself_is_not_given_back_again() -> None:
    buckets = Buckets()
    buckets.reserve(TENANT, "early", (demand(10, 10, 5, "tokens"),), START)
    buckets.reserve(TENANT, "late", (demand(10, 10, 5, "tokens"),), START + 4 * SECOND)
    now = START + 6 * SECOND  # the part of the first was back a second ago
    buckets.settle(TENANT, "early", [("tenant:tokens", 0)], now)
    (left,) = buckets.reserve(TENANT, "then", (demand(10, 10, 0, "tokens"),), now).left
    assert left.remaining == 6


def test_all_meters_are_asked_before_any_is_touched() -> None:
    buckets = Buckets()
    tenant, key = demand(10, 60), Demand("key:a:requests", "requests", 1, 60 * SECOND, 1)
    assert buckets.reserve(TENANT, "1", (tenant, key), START).refused is None
    assert [buckets.reserve(TENANT, f"{n}", (tenant, key), START).refused for n in range(2, 20)] == [1] * 18
    verdict = buckets.reserve(TENANT, "20", (tenant,), START)
    assert (verdict.refused, verdict.left[0].remaining) == (None, 8)


def test_streams_are_released_once_and_by_their_own_lease() -> None:
    buckets, one = Buckets(), (Demand("tenant:streams", "streams", 1, 0.0, 1),)
    assert buckets.reserve(TENANT, "a", one, START).refused is None
    assert buckets.reserve(TENANT, "b", one, START).refused == 0
    buckets.settle(TENANT, "b", [("tenant:streams", 1)], START)
    assert buckets.reserve(TENANT, "b", one, START).refused == 0
    for _ in range(2):
        buckets.settle(TENANT, "a", [("tenant:streams", 1)], START)
    assert buckets.reserve(TENANT, "c", one, START).refused is None
    assert buckets.reserve(TENANT, "d", one, START).refused == 0


def test_what_an_answer_used_beyond_its_reservation_is_owed_for_two_minutes_at_most() -> None:
    buckets, asked = Buckets(), (demand(60, 60, 1, "tokens"),)
    buckets.reserve(TENANT, "a", asked, START)
    buckets.settle(TENANT, "a", [("tenant:tokens", 1_000_000)], START)
    verdict = buckets.reserve(TENANT, "b", (demand(60, 60, 60, "tokens"),), START)
    assert verdict.wait == pytest.approx(LONGEST_DEBT)
    assert verdict.left[0].remaining == 0


def test_tenants_share_nothing() -> None:
    buckets, asked = Buckets(), (demand(1, 60),)
    assert [buckets.reserve(tenant, tenant, asked, START).refused for tenant in "aabb"] == [None, 0, None, 0]
