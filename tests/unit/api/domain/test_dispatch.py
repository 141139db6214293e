"""Listeners have events in order and within bounds, and whoever emits never waits for one."""

from collections import Counter
from datetime import UTC, datetime

import pytest

from chatfleet_api.domain.dispatch import Dispatcher, EventKind

NOW = datetime(2026, 1, 2, tzinfo=UTC)
START, END = EventKind.STREAM_START, EventKind.STREAM_COMPLETE


def dispatcher(dropped: Counter[str] | None = None) -> Dispatcher:
    counted = Counter[str]() if dropped is None else dropped

    def drop(name: str) -> None:
        counted[name] += 1

    return Dispatcher("pod-1", now=lambda: NOW, dropped=drop)


async def test_a_listener_has_the_events_of_its_kinds_in_order() -> None:
    events = dispatcher()
    with events.listening("a", [START, END]) as both, events.listening("b", [END]) as ends:
        for number in range(3):
            events.emit(START, "shop", run=number)
            events.emit(END, "shop", run=number)
        events.emit(EventKind.FEEDBACK, "shop")
        first = await both.next()
        assert (first.event, first.at, first.pod, first.tenant, first.facts) == (
            START,
            NOW,
            "pod-1",
            "shop",
            {"run": 0},
        )
        assert [(each.event, each.facts["run"]) for each in both.waiting(10)] == [
            *((END, 0), (START, 1), (END, 1), (START, 2), (END, 2)),
        ]
        assert [each.facts["run"] for each in ends.waiting(2)] == [0, 1]
        assert [each.facts["run"] for each in ends.waiting(2)] == [2]


def test_a_listener_that_hangs_is_dropped_from_and_counted_and_no_other_one() -> None:
    dropped = Counter[str]()
    events = dispatcher(dropped)
    with events.listening("hung", [START], size=2) as hung, events.listening("quick", [START], size=9) as quick:
        for number in range(9):
            events.emit(START, "shop", run=number)
        assert dropped == {"hung": 7}
        assert [each.facts["run"] for each in hung.waiting(9)] == [0, 1]
        assert len(quick.waiting(9)) == 9


def test_nothing_is_made_while_no_one_listens() -> None:
    def moment() -> datetime:
        pytest.fail("an event was made")

    events = Dispatcher("pod-1", now=moment, dropped=lambda _: None)
    events.emit(START, "shop")
    with events.listening("a", [END]):
        events.emit(START, "shop")
    events.emit(END, "shop")
    assert not any(events.listeners(kind) for kind in EventKind)
