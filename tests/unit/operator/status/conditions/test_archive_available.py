"""ArchiveAvailable: only with an archive; False while a pod cannot use PostgreSQL, which is no reason not to serve."""

from dataclasses import replace

from chatfleet_contract.report import Dependency
from chatfleet_operator.model.values import Observed
from harness.kube.operated_cluster import resource
from unit.operator.status.test_conditions import UP, condition, down, evaluate_conditions, serving, status_and_reason

ARCHIVE = {"archive": {"postgresURLSecretRef": {"name": "archive", "key": "url"}}}
NAME = "ArchiveAvailable"


def archived(*states: Dependency | None) -> Observed:
    """Return a snapshot with an archive, of which each pod reports a state."""
    seen = serving(resource(conversations=ARCHIVE))
    pods = [
        replace(pod, report=pod.report.model_copy(update={"archive": state}))
        for pod, state in zip(seen.pods, states, strict=True)
        if pod.report
    ]
    return replace(seen, pods=tuple(pods))


def test_without_an_archive_there_is_no_condition() -> None:
    shown = evaluate_conditions(serving(archive=UP))
    assert NAME not in {each.type for each in shown.conditions or ()}


def test_it_is_unknown_until_a_pod_has_reported() -> None:
    assert status_and_reason(evaluate_conditions(archived(None, None)), NAME) == "Unknown NoPodReport"


def test_one_pod_that_cannot_use_postgresql_makes_it_false_and_ready_stays_true() -> None:
    shown = evaluate_conditions(archived(UP, down("refused; conversations that wait: 3 of at most 500,000")))
    assert status_and_reason(shown, NAME) == "False Unavailable"
    message = condition(shown, NAME).message
    assert message.startswith("1 of 2 pods cannot use PostgreSQL. Pod pod-1: refused; conversations that wait: 3")
    assert status_and_reason(shown, "Ready") == "True Serving"


def test_it_is_true_when_pods_can_use_postgresql_and_has_how_far_it_is_behind() -> None:
    shown = evaluate_conditions(archived(UP, UP.model_copy(update={"message": "it is behind"})))
    assert status_and_reason(shown, NAME) == "True Connected"
    assert condition(shown, NAME).message == "2 of 2 pods can use PostgreSQL. Pod pod-1: it is behind"
