"""Which events are due, and when those that failed are tried again."""

from datetime import UTC, datetime, timedelta

import pytest

from chatfleet_api.webhooks.queue import Member
from chatfleet_api.webhooks.schedule import GIVE_UP_AFTER, MAX_RETRY_SECONDS, back_off, due, is_given_up

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def members(*texts: str) -> list[Member]:
    return [Member(text[0], text) for text in texts]


@pytest.mark.parametrize(
    ("busy", "retries", "expected"),
    [
        ((), {}, ["a1", "b1", "c1"]),
        (("a",), {}, ["b1", "c1"]),
        ((), {"a": 10.5, "b": 10.0}, ["b1", "c1"]),
    ],
    ids=["first of each group", "one at a time", "not before its time"],
)
def test_the_first_event_of_each_group_is_due(
    busy: tuple[str, ...], retries: dict[str, float], expected: list[str]
) -> None:
    first = members("a1", "b1", "a2", "c1", "b2")
    assert [each.id for each in due(first, busy=busy, retries=retries, now=10.0)] == expected


def test_the_back_off_doubles_up_to_a_bound_with_jitter() -> None:
    assert [back_off(failures, lambda _, most: most) for failures in (1, 2, 3, 4)] == [2, 4, 8, 16]
    assert back_off(10_000, lambda _, most: most) == MAX_RETRY_SECONDS
    assert back_off(3, lambda least, _: least) == 4


@pytest.mark.parametrize(("age", "over"), [(timedelta(0), False), (GIVE_UP_AFTER, True)])
def test_an_event_is_given_up_by_its_age(age: timedelta, over: bool) -> None:  # noqa: FBT001  # a table
    assert is_given_up((NOW - age).isoformat(), NOW) is over
