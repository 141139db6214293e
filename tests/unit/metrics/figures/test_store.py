"""Which pods have a say, and what is known of them."""

from typing import Any

import pytest

from chatfleet_contract import metrics
from chatfleet_metrics.figures.pods import target
from chatfleet_metrics.figures.store import FigureStore


def pod(name: str, uid: str = "", **changes: Any) -> dict[str, Any]:  # noqa: ANN401  # fields of a Kubernetes object
    metadata = {"namespace": "shop", "name": name, "uid": uid or name, "labels": {"a": "b"}}
    status = {"phase": "Running", "podIP": "10.0.0.1"}
    return {"metadata": {**metadata, **changes.get("metadata", {})}, "status": {**status, **changes.get("status", {})}}


class Clock:
    """Time that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fleet(clock: Clock) -> FigureStore:
    return FigureStore(5, clock)


def streams(fleet: FigureStore) -> dict[str, float | None]:
    readings = {each.name: fleet.reading(each.uid, metrics.ACTIVE_STREAMS) for each in fleet}
    return {name: reading.value if reading else None for name, reading in readings.items()}


def say(fleet: FigureStore, name: str, value: float) -> None:
    fleet.record(fleet.in_namespace("shop")[name], {metrics.ACTIVE_STREAMS: value})


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata": {"deletionTimestamp": "2026-11-21T10:00:00Z"}},
        {"status": {"phase": "Pending"}},
        {"status": {"phase": "Succeeded"}},
        {"status": {"phase": "Failed"}},
        {"status": {"podIP": ""}},
    ],
)
def test_only_a_pod_that_runs_and_stays_is_asked(changes: dict[str, Any]) -> None:
    assert target(pod("one")) is not None
    assert target(pod("one", **changes)) is None


def test_a_pod_that_is_silent_for_three_periods_has_no_figure(fleet: FigureStore, clock: Clock) -> None:
    fleet.replace([pod("one"), pod("two"), pod("new")])
    say(fleet, "one", 3)
    say(fleet, "two", 0)
    assert streams(fleet) == {"one": 3, "two": 0, "new": None}
    clock.now += 10
    say(fleet, "two", 0)
    clock.now += 6
    assert streams(fleet) == {"one": None, "two": 0, "new": None}


def test_a_pod_leaves_when_it_is_deleted_or_ends(fleet: FigureStore) -> None:
    fleet.replace([pod("one"), pod("two"), pod("three")])
    fleet.delete(pod("one"))
    fleet.update(pod("two", metadata={"deletionTimestamp": "2026-11-21T10:00:00Z"}))
    assert [each.name for each in fleet] == ["three"]


def test_a_successor_of_the_same_name_starts_without_a_past(fleet: FigureStore) -> None:
    fleet.replace([pod("one")])
    say(fleet, "one", 3)
    fleet.update(pod("one", uid="successor"))
    assert streams(fleet) == {"one": None}
    fleet.update(pod("one"))
    assert streams(fleet) == {"one": None}


def test_a_new_list_forgets_who_is_not_on_it_and_keeps_what_the_others_said(fleet: FigureStore) -> None:
    fleet.replace([pod("one"), pod("two")])
    say(fleet, "one", 1)
    say(fleet, "two", 2)
    fleet.replace([pod("two")])
    assert streams(fleet) == {"two": 2}
    fleet.replace([pod("one"), pod("two")])
    assert streams(fleet) == {"one": None, "two": 2}


def test_what_a_pod_said_when_it_had_left_is_not_kept(fleet: FigureStore) -> None:
    fleet.replace([pod("one")])
    left = fleet.in_namespace("shop")["one"]
    fleet.delete(pod("one"))
    fleet.record(left, {metrics.ACTIVE_STREAMS: 1})
    assert fleet.reading("one", metrics.ACTIVE_STREAMS) is None
    fleet.update(pod("one", uid="successor"))
    fleet.record(left, {metrics.ACTIVE_STREAMS: 1})
    assert fleet.reading("one", metrics.ACTIVE_STREAMS) is None
