"""Events: about changes, few for each object, and never in the way of a pass."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from chatfleet_contract.status import Condition, ConditionStatus
from chatfleet_operator.model.errors import Refused, Retry
from chatfleet_operator.model.values import Manifest
from chatfleet_operator.process import recorder
from chatfleet_operator.process.recorder import BURST, REFILL, SERIES, EventRecorder
from harness.kube.operated_cluster import MOMENT, resource

START = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


@dataclass
class FakeEventSink:
    """A recorder, its clock, and what it has written."""

    moment: datetime = START
    error: Exception | None = None
    created: list[Manifest] = field(default_factory=list)
    counted: list[tuple[str, str, Manifest]] = field(default_factory=list)
    dropped: int = 0

    def __post_init__(self) -> None:
        self.recorder = EventRecorder(self, "operator-0", lambda: self.moment, self.drop)

    def drop(self) -> None:
        self.dropped += 1

    async def create(self, event: Manifest) -> None:
        if self.error:
            raise self.error
        self.created.append(event)

    async def count(self, namespace: str, name: str, series: Manifest) -> None:
        if self.error:
            raise self.error
        self.counted.append((namespace, name, series))

    async def record(self, condition: Condition, after: timedelta = timedelta()) -> None:
        self.moment += after
        await self.recorder.record(resource(), condition)


def condition(
    kind: str = "Ready",
    status: ConditionStatus = ConditionStatus.FALSE,
    reason: str = "NoReadyPods",
    message: str = "x",
) -> Condition:
    return Condition(
        type=kind, status=status, reason=reason, message=message, observed_generation=1, last_transition_time=MOMENT
    )


async def test_an_event_has_the_condition_its_object_and_its_reporter() -> None:
    sink = FakeEventSink()
    await sink.record(condition(message="No pod is ready."))
    (event,) = sink.created

    assert event["note"] == "Ready is False: No pod is ready."
    assert (event["type"], event["reason"], event["action"]) == ("Warning", "NoReadyPods", "Reconcile")
    assert event["eventTime"] == "2026-01-02T03:04:05.000678Z"
    assert event["regarding"]["uid"] == "uid-1"
    assert (event["reportingController"], event["reportingInstance"]) == ("chatfleet.io/operator", "operator-0")
    assert event["metadata"]["namespace"] == "shop"


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        (condition(status=ConditionStatus.TRUE, reason="Serving"), "Normal"),
        (condition(status=ConditionStatus.UNKNOWN, reason="Updating"), "Normal"),
        (condition("Progressing", ConditionStatus.FALSE, "Complete"), "Normal"),
        (condition("Progressing", ConditionStatus.TRUE, "RollingOut"), "Normal"),
        (condition("AutoscalingActive", ConditionStatus.FALSE, "Disabled"), "Normal"),
        (condition("Ready", ConditionStatus.FALSE, "Suspended"), "Normal"),
        (condition("Ready", ConditionStatus.FALSE, "ScaledToZero"), "Normal"),
        (condition("Progressing", ConditionStatus.FALSE, "DeadlineExceeded"), "Warning"),
        (condition("ConfigurationValid", ConditionStatus.FALSE, "SecretMissing"), "Warning"),
    ],
)
async def test_a_condition_that_needs_attention_is_a_warning(told: Condition, kind: str) -> None:
    sink = FakeEventSink()
    await sink.record(told)

    assert sink.created[0]["type"] == kind


async def test_the_same_again_is_counted_and_not_written_anew() -> None:
    sink = FakeEventSink()
    for _ in range(3):
        await sink.record(condition(), after=timedelta(minutes=1))
    name = sink.created[0]["metadata"]["name"]

    assert len(sink.created) == 1
    assert [(namespace, known, series["count"]) for namespace, known, series in sink.counted] == [
        ("shop", name, 2),
        ("shop", name, 3),
    ]
    assert sink.counted[-1][2]["lastObservedTime"] == "2026-01-02T03:07:05.000678Z"


async def test_after_a_while_the_same_is_news_again() -> None:
    sink = FakeEventSink()
    await sink.record(condition())
    await sink.record(condition(), after=SERIES)

    assert len(sink.created) == 2


async def test_an_object_that_flaps_has_a_limit_and_gets_more_with_time() -> None:
    sink = FakeEventSink()
    for number in range(BURST + 5):
        await sink.record(condition(message=str(number)))
    assert (len(sink.created), sink.dropped) == (BURST, 5)

    await sink.record(condition(message="later"), after=REFILL)
    await sink.record(condition(message="and more"))
    assert (len(sink.created), sink.dropped) == (BURST + 1, 6)


@pytest.mark.parametrize("error", [Refused("events is forbidden"), Retry("timeout")])
async def test_an_event_that_cannot_be_written_is_counted_and_fails_nothing(error: Exception) -> None:
    sink = FakeEventSink(error=error)
    await sink.record(condition())
    assert sink.dropped == 1

    sink.error = None
    await sink.record(condition())
    assert len(sink.created) == 1


async def test_a_long_note_is_cut_where_the_api_server_cuts_off_and_stays_text() -> None:
    sink = FakeEventSink()
    await sink.record(condition(message="ü" * 2000))

    assert len(sink.created[0]["note"].encode()) <= 1024
    assert sink.created[0]["note"].endswith("ü")


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "MAX_REMEMBERED", 2)
    sink = FakeEventSink()
    for message in ("a", "b", "c", "a"):
        await sink.record(condition(message=message), after=timedelta(milliseconds=1))

    assert len(sink.created) == 4
