"""Scrape targets and their samples."""

from typing import Any

import pytest

from chatfleet_contract import metrics
from chatfleet_metrics.samples.pods import target
from chatfleet_metrics.samples.store import SampleStore
from harness.clock import ManualClock


def pod(name: str, uid: str = "", **changes: Any) -> dict[str, Any]:  # noqa: ANN401  # fields of a Kubernetes object
    metadata = {"namespace": "shop", "name": name, "uid": uid or name, "labels": {"a": "b"}}
    status = {"phase": "Running", "podIP": "10.0.0.1"}
    return {"metadata": {**metadata, **changes.get("metadata", {})}, "status": {**status, **changes.get("status", {})}}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(clock: ManualClock) -> SampleStore:
    return SampleStore(5, clock)


def streams(store: SampleStore) -> dict[str, float | None]:
    values = {each.name: store.value(each.uid, metrics.ACTIVE_STREAMS) for each in store}
    return {name: value.value if value else None for name, value in values.items()}


def report(store: SampleStore, name: str, value: float) -> None:
    store.record(store.in_namespace("shop")[name], {metrics.ACTIVE_STREAMS: value})


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
def test_only_a_running_pod_is_scraped(changes: dict[str, Any]) -> None:
    assert target(pod("one")) is not None
    assert target(pod("one", **changes)) is None


def test_a_pod_that_is_silent_for_three_periods_has_no_value(store: SampleStore, clock: ManualClock) -> None:
    store.replace([pod("one"), pod("two"), pod("new")])
    report(store, "one", 3)
    report(store, "two", 0)
    assert streams(store) == {"one": 3, "two": 0, "new": None}
    clock.now += 10
    report(store, "two", 0)
    clock.now += 6
    assert streams(store) == {"one": None, "two": 0, "new": None}


def test_a_pod_leaves_when_it_is_deleted_or_ends(store: SampleStore) -> None:
    store.replace([pod("one"), pod("two"), pod("three")])
    store.delete(pod("one"))
    store.update(pod("two", metadata={"deletionTimestamp": "2026-11-21T10:00:00Z"}))
    assert [each.name for each in store] == ["three"]


def test_a_successor_of_the_same_name_starts_without_a_past(store: SampleStore) -> None:
    store.replace([pod("one")])
    report(store, "one", 3)
    store.update(pod("one", uid="successor"))
    assert streams(store) == {"one": None}
    store.update(pod("one"))
    assert streams(store) == {"one": None}


def test_a_new_list_forgets_who_is_not_on_it_and_keeps_the_samples_of_the_others(store: SampleStore) -> None:
    store.replace([pod("one"), pod("two")])
    report(store, "one", 1)
    report(store, "two", 2)
    store.replace([pod("two")])
    assert streams(store) == {"two": 2}
    store.replace([pod("one"), pod("two")])
    assert streams(store) == {"one": None, "two": 2}


def test_a_sample_of_a_deleted_pod_is_not_kept(store: SampleStore) -> None:
    store.replace([pod("one")])
    left = store.in_namespace("shop")["one"]
    store.delete(pod("one"))
    store.record(left, {metrics.ACTIVE_STREAMS: 1})
    assert store.value("one", metrics.ACTIVE_STREAMS) is None
    store.update(pod("one", uid="successor"))
    store.record(left, {metrics.ACTIVE_STREAMS: 1})
    assert store.value("one", metrics.ACTIVE_STREAMS) is None
