"""Few Events: what is normal is none, or no Warning, and a loss is one at once."""

from itertools import pairwise

import pytest

from chatfleet_contract.status import ChatDeploymentStatus, Condition, ConditionStatus
from chatfleet_operator.status.events import events, is_warning
from harness.kube.operated_cluster import MOMENT

NONE: dict[str, str] = {}
CREATED = {
    "Ready": "False NoReadyPods",
    "Available": "False NoReadyPods",
    "Progressing": "True RollingOut",
    "ConfigurationValid": "True Valid",
    "RedisAvailable": "Unknown NoPodReport",
    "UpstreamsAvailable": "Unknown NoPodReport",
    "AutoscalingActive": "False Disabled",
}
STARTING = {**CREATED, "RedisAvailable": "False Unavailable", "UpstreamsAvailable": "False Unavailable"}
UPDATING = {
    **CREATED,
    "Ready": "Unknown Updating",
    "Available": "True Serving",
    "RedisAvailable": "True Connected",
}
SERVING = {
    **CREATED,
    "Ready": "True Serving",
    "Available": "True Serving",
    "Progressing": "False Complete",
    "RedisAvailable": "True Connected",
    "UpstreamsAvailable": "True Available",
}


def status(conditions: dict[str, str]) -> ChatDeploymentStatus:
    listed = [
        Condition(
            type=kind,
            status=ConditionStatus(text.split()[0]),
            reason=text.split()[1],
            message="x",
            observed_generation=1,
            last_transition_time=MOMENT,
        )
        for kind, text in conditions.items()
    ]
    return ChatDeploymentStatus(conditions=listed)


def told(*statuses: dict[str, str]) -> list[str]:
    """Return the Events of a sequence of statuses; an exclamation mark is a Warning."""
    return [
        f"{each.type} {each.reason}{'!' if is_warning(each) else ''}"
        for before, after in pairwise(map(status, statuses))
        for each in events(before, after)
    ]


def test_a_healthy_creation_has_three_events_and_no_warning() -> None:
    assert told(NONE, CREATED, STARTING, UPDATING, SERVING) == [
        "Progressing RollingOut",
        "Ready Serving",
        "Progressing Complete",
    ]


def test_a_rollout_and_a_suspension_are_no_warnings() -> None:
    suspended = {
        **SERVING,
        **dict.fromkeys(("Ready", "Available", "AutoscalingActive"), "False Suspended"),
    }
    updating = {**UPDATING, "UpstreamsAvailable": "True Available"}
    assert told(SERVING, updating, SERVING) == ["Progressing RollingOut", "Ready Serving", "Progressing Complete"]
    assert told(SERVING, suspended) == ["Ready Suspended"]


@pytest.mark.parametrize(
    "lost",
    [
        {"Ready": "False NoReadyPods", "Progressing": "True RollingOut"},
        {"RedisAvailable": "False Unavailable", "Ready": "False Blocked"},
        {"UpstreamsAvailable": "False Unavailable"},
        {"ConfigurationValid": "False SecretMissing", "Ready": "False Blocked"},
    ],
)
def test_what_is_lost_is_a_warning_once_and_its_return_an_event(lost: dict[str, str]) -> None:
    after = {**SERVING, **lost}
    warnings = [f"{kind} {text.split()[1]}!" for kind, text in after.items() if kind in lost and "False" in text]
    assert [each for each in told(SERVING, after, after) if each.endswith("!")] == warnings
    assert {each.split()[0] for each in told(after, SERVING)} >= {kind for kind in lost if "False" in lost[kind]}


def test_what_prevents_a_start_is_a_warning_at_once_or_when_the_rollout_cannot_go_on() -> None:
    unreadable = {**CREATED, "ConfigurationValid": "False SecretMissing"}
    stuck = {**STARTING, "Progressing": "False DeadlineExceeded"}
    assert "ConfigurationValid SecretMissing!" in told(NONE, unreadable)
    assert set(told(STARTING, stuck)) == {
        "Ready NoReadyPods!",
        "Progressing DeadlineExceeded!",
        "RedisAvailable Unavailable!",
        "UpstreamsAvailable Unavailable!",
    }


def test_an_autoscaler_without_its_first_metrics_is_no_warning_and_a_loss_of_metrics_is() -> None:
    waiting = {**SERVING, "AutoscalingActive": "False MetricsUnavailable"}
    scaling = {**SERVING, "AutoscalingActive": "True Scaling"}
    assert told(SERVING, waiting, scaling) == []
    assert told(scaling, waiting) == ["AutoscalingActive MetricsUnavailable!"]


def test_an_outage_has_one_event_of_ready_or_of_available_where_ready_was_lost_before() -> None:
    outage = {**SERVING, "Ready": "False NoReadyPods", "Available": "False NoReadyPods"}
    assert told(SERVING, outage, SERVING) == ["Ready NoReadyPods!", "Ready Serving"]

    invalid = {**SERVING, "Ready": "False Blocked", "ConfigurationValid": "False SecretMissing"}
    later = {**invalid, "Available": "False NoReadyPods"}
    assert told(invalid, later, invalid) == ["Available NoReadyPods!", "Available Serving"]


def test_a_sleep_and_its_end_are_no_warnings() -> None:
    asleep = {**SERVING, "Ready": "True Asleep", "Available": "True Asleep"}
    starting = {
        **asleep,
        "Ready": "Unknown Activating",
        "Available": "True Activating",
        "Progressing": "True RollingOut",
    }
    found = told(SERVING, asleep, starting, SERVING)
    assert found == ["Ready Asleep", "Progressing RollingOut", "Ready Serving", "Progressing Complete"]
