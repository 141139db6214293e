"""What a pod observes, and how often."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from itertools import pairwise

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.pod.monitors import LoopHeartbeat, RedisMonitor, UpstreamMonitor
from chatfleet_contract.report import Dependency, ModelOutcome, State, UpstreamTraffic
from harness.clock import ManualClock
from harness.pods.health import FakeLoad
from harness.pods.live import fixed
from harness.pods.runs import loop_clock, loop_now

pytestmark = pytest.mark.looptime

UP = Dependency(state=State.UP)
DOWN = Dependency(state=State.DOWN, message="refused")


async def test_the_heart_beats_as_long_as_the_loop_runs() -> None:
    load, clock = FakeLoad(), ManualClock()
    heartbeat = LoopHeartbeat(load, clock=clock)
    load.active = 4
    clock.now += 60
    assert heartbeat.stuck()
    beating = asyncio.ensure_future(heartbeat.run())
    await asyncio.sleep(0.1)
    beating.cancel()
    assert heartbeat.stuck() is None
    assert heartbeat.active == 4


async def test_a_heartbeat_that_is_late_shows_the_lag_of_the_loop() -> None:
    clock = ManualClock()
    heartbeat = LoopHeartbeat(FakeLoad(), clock=clock)
    beating = asyncio.ensure_future(heartbeat.run())
    await asyncio.sleep(0.1)
    clock.now += 0.8
    await asyncio.sleep(0.5)
    assert heartbeat.lag == pytest.approx(0.3)
    clock.now += 0.5
    await asyncio.sleep(0.5)
    beating.cancel()
    assert heartbeat.lag == pytest.approx(0)


def redis_monitor(
    check: Callable[[], Awaitable[str | None]], url_problem: Callable[[], str | None] = lambda: None
) -> RedisMonitor:
    return RedisMonitor(check, url_problem, clock=loop_clock, now=loop_now)


async def test_the_latency_of_redis_is_measured_and_when_its_state_changed() -> None:
    up = [False, True, True]

    async def check() -> str | None:
        await asyncio.sleep(0.25)
        if not up.pop(0):
            raise ChatError(Code.STORAGE_UNAVAILABLE, detail="refused")
        return None

    redis = redis_monitor(check)
    assert (redis.latency, redis.since) == (None, None)
    running = asyncio.ensure_future(redis.run())
    await asyncio.sleep(1)
    down = redis.since
    assert redis.latency == pytest.approx(0.25)
    await asyncio.sleep(3.25)
    back = redis.since
    assert down is not None
    assert back is not None
    assert (back - down).total_seconds() == pytest.approx(3.25)
    await asyncio.sleep(3.25)
    running.cancel()
    assert not up
    assert redis.since == back


async def test_redis_is_checked_every_few_seconds() -> None:
    answers: list[Exception | str | None] = [ChatError(Code.STORAGE_UNAVAILABLE, detail="refused"), None, "unknown"]

    async def check() -> str | None:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    redis = redis_monitor(check)
    assert redis.state.state is State.UNKNOWN
    running = asyncio.ensure_future(redis.run())
    await asyncio.sleep(1)
    assert redis.state == DOWN
    await asyncio.sleep(3)
    assert redis.state == UP
    await asyncio.sleep(3)
    running.cancel()
    assert redis.state == Dependency(state=State.UP, message="unknown")


@pytest.mark.parametrize(("seen", "at_least", "at_most"), [(UP, 24, 36), (DOWN, 4, 6)])
async def test_upstreams_are_checked_now_and_then_and_sooner_while_one_is_down(
    seen: Dependency, at_least: float, at_most: float
) -> None:
    times: list[float] = []

    class Upstreams:
        async def check(self) -> Mapping[str, Dependency]:
            times.append(loop_clock())
            return {"a": seen}

        def outcomes(self) -> Mapping[str, ModelOutcome]:
            return {}

        def check_subjects(self) -> Mapping[str, object]:
            return {"a": 1}

        def traffic(self) -> Mapping[str, UpstreamTraffic]:
            return {}

    monitor = UpstreamMonitor(fixed(Upstreams()), clock=loop_clock, rand=random.uniform, recheck=asyncio.Event())
    running = asyncio.ensure_future(monitor.run())
    await asyncio.sleep(100)
    running.cancel()
    assert monitor.states() == {"a": seen}
    assert all(at_least <= late - early <= at_most for early, late in pairwise(times))
    assert len(times) > 2


async def test_a_check_of_redis_that_fails_unexpectedly_leaves_no_former_state() -> None:
    answers: list[Exception | None] = [None, RuntimeError("odd"), None]

    async def check() -> str | None:
        answer = answers.pop(0)
        if answer is not None:
            raise answer
        return None

    redis = redis_monitor(check, lambda: "the URL of Redis is not UTF-8")
    running = asyncio.ensure_future(redis.run())
    states = []
    for _ in range(3):
        await asyncio.sleep(1)
        states.append(redis.state)
        await asyncio.sleep(2)
    running.cancel()
    assert states == [UP, Dependency(state=State.DOWN, message="the check failed: RuntimeError"), UP]
    assert redis.url_error == "the URL of Redis is not UTF-8"


async def test_a_recheck_begins_at_once_but_not_within_a_second_of_the_last_one() -> None:
    times: list[float] = []

    class Upstreams:
        async def check(self) -> Mapping[str, Dependency]:
            times.append(loop_clock())
            return {"a": UP}

        def outcomes(self) -> Mapping[str, ModelOutcome]:
            return {}

        def check_subjects(self) -> Mapping[str, object]:
            return {"a": 1}

        def traffic(self) -> Mapping[str, UpstreamTraffic]:
            return {}

    recheck, begun = asyncio.Event(), loop_clock()
    monitor = UpstreamMonitor(fixed(Upstreams()), clock=loop_clock, rand=lambda low, _: low, recheck=recheck)
    running = asyncio.ensure_future(monitor.run())
    await asyncio.sleep(10)
    recheck.set()
    await asyncio.sleep(0.2)
    recheck.set()
    await asyncio.sleep(5)
    running.cancel()
    assert [round(at - begun, 1) for at in times] == [0, 10, 11]


async def test_a_model_that_is_down_is_checked_as_often_as_a_provider_that_is() -> None:
    times: list[float] = []

    class Upstreams:
        async def check(self) -> Mapping[str, Dependency]:
            times.append(loop_clock())
            return {"a": UP}

        def outcomes(self) -> Mapping[str, ModelOutcome]:
            return {"m": ModelOutcome(provider="a", state=State.DOWN)}

        def check_subjects(self) -> Mapping[str, object]:
            return {"a": 1}

        def traffic(self) -> Mapping[str, UpstreamTraffic]:
            return {}

    monitor = UpstreamMonitor(fixed(Upstreams()), clock=loop_clock, rand=random.uniform, recheck=asyncio.Event())
    running = asyncio.ensure_future(monitor.run())
    await asyncio.sleep(30)
    running.cancel()
    assert all(4 <= late - early <= 6 for early, late in pairwise(times))
    assert len(times) > 4


async def test_an_unexpected_error_is_logged_once_until_it_changes_or_was_gone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    odd, other = RuntimeError("odd"), RuntimeError("other")
    answers: list[Exception | None] = [odd, odd, odd, other, other, None, other]

    async def check() -> str | None:
        answer = answers.pop(0)
        if answer is not None:
            raise answer
        return None

    redis = redis_monitor(check)
    running = asyncio.ensure_future(redis.run())
    with caplog.at_level(logging.INFO):
        await asyncio.sleep(3 * len(answers) - 1)
    running.cancel()
    errors = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert errors == [odd, other, other]


async def test_what_was_checked_with_other_settings_is_no_state_of_the_new_ones() -> None:
    """An operator that reads the digest of a new configuration must not take a former check for its proof."""

    class Upstreams:
        settings = "first"

        async def check(self) -> Mapping[str, Dependency]:
            await asyncio.sleep(0.5)
            return {"changed": UP, "same": UP}

        def outcomes(self) -> Mapping[str, ModelOutcome]:
            return {}

        def check_subjects(self) -> Mapping[str, object]:
            return {"changed": self.settings, "same": 1}

        def traffic(self) -> Mapping[str, UpstreamTraffic]:
            return {}

    upstreams, recheck = Upstreams(), asyncio.Event()
    monitor = UpstreamMonitor(fixed(upstreams), clock=loop_clock, rand=random.uniform, recheck=recheck)
    running = asyncio.ensure_future(monitor.run())
    await asyncio.sleep(10)
    shown = [set(monitor.states())]
    upstreams.settings = "second"
    recheck.set()
    shown.append(set(monitor.states()))
    await asyncio.sleep(1)
    shown.append(set(monitor.states()))
    upstreams.settings = "third"
    recheck.set()
    await asyncio.sleep(1.2)  # the check is under way
    upstreams.settings = "fourth"
    await asyncio.sleep(0.5)
    shown.append(set(monitor.states()))
    running.cancel()
    assert shown == [{"changed", "same"}, {"same"}, {"changed", "same"}, {"same"}]
