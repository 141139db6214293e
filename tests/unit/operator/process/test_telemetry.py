"""Log lines and metrics."""

import json
import logging
import sys

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from chatfleet_contract import metrics
from chatfleet_contract.process_metrics import PROCESS_METRICS
from chatfleet_contract.spec import LogFormat
from chatfleet_contract.status import ChatDeploymentStatus, Condition, ConditionStatus
from chatfleet_operator.model.conflict import Conflict, Writer
from chatfleet_operator.model.values import ObjectId
from chatfleet_operator.process.telemetry import JsonFormatter, Telemetry, set_up_logging
from harness.exposition import exported
from harness.kube.operated_cluster import MOMENT, REF


def status(reason: str = "R", **conditions: ConditionStatus) -> ChatDeploymentStatus:
    return ChatDeploymentStatus(
        conditions=[
            Condition(
                type=kind, status=truth, reason=reason, message="", observed_generation=1, last_transition_time=MOMENT
            )
            for kind, truth in conditions.items()
        ]
    )


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def telemetry(registry: CollectorRegistry) -> Telemetry:
    return Telemetry(registry)


def test_conditions_are_shown_while_their_object_exists(registry: CollectorRegistry, telemetry: Telemetry) -> None:
    labels = {"namespace": "shop", "name": "support"}
    telemetry.conditions_reported(
        REF,
        status(Ready=ConditionStatus.TRUE, Progressing=ConditionStatus.FALSE, RedisAvailable=ConditionStatus.UNKNOWN),
    )

    shown = {
        kind: registry.get_sample_value(metrics.CONDITION, {**labels, "type": kind, "reason": "R"}) for kind in KINDS
    }
    assert shown == {"Ready": 1, "Progressing": 0, "RedisAvailable": -1}

    telemetry.removed(REF)
    telemetry.removed(REF)
    assert metrics.CONDITION not in generate_latest(registry).decode().replace(
        f"# TYPE {metrics.CONDITION}", ""
    ).replace(f"# HELP {metrics.CONDITION}", "")


def test_a_condition_is_shown_with_the_reason_that_it_has_now(
    registry: CollectorRegistry, telemetry: Telemetry
) -> None:
    for reason, truth in (
        ("NoReadyPods", ConditionStatus.FALSE),
        ("Serving", ConditionStatus.TRUE),
        ("Serving", ConditionStatus.TRUE),
    ):
        telemetry.conditions_reported(REF, status(reason, Ready=truth))

    (family,) = (each for each in registry.collect() if each.name == metrics.CONDITION)
    labels = {"namespace": "shop", "name": "support", "type": "Ready", "reason": "Serving"}
    assert [(each.labels, each.value) for each in family.samples] == [(labels, 1)]


def test_a_conflict_is_shown_while_it_lasts(registry: CollectorRegistry, telemetry: Telemetry) -> None:
    def shown() -> list[dict[str, str]]:
        (family,) = (each for each in registry.collect() if each.name == metrics.CONFLICT)
        return [each.labels for each in family.samples]

    theirs = Conflict("Deployment", "support", Writer("argocd-controller"), "spec.replicas", "chatfleet-system")
    operators = Conflict("Service", "support", Writer(operator="team-a"), "spec.ports", "chatfleet-system")
    head = {"namespace": "shop", "name": "support"}
    telemetry.conflicts_reported(REF, (theirs, operators))
    telemetry.conflicts_reported(REF, (operators,))
    assert shown() == [{**head, "kind": "Service", "writer": "chatfleet-operator of namespace team-a"}]

    telemetry.conflicts_reported(REF, (theirs,))
    assert shown() == [{**head, "kind": "Deployment", "writer": "argocd-controller"}]
    telemetry.removed(REF)
    assert shown() == []


KINDS = ("Ready", "Progressing", "RedisAvailable")


def test_every_verb_moves_its_metric(registry: CollectorRegistry, telemetry: Telemetry) -> None:
    telemetry.reconciled(0.2, failed=True)
    telemetry.wrote("patch", "Deployment")
    telemetry.drift_repaired(frozenset({ObjectId("Service", "x")}))
    telemetry.queue(3, 1.5)
    telemetry.watch(9.0)
    telemetry.leading(leader=True)
    telemetry.dropped_event()
    telemetry.missed_event()

    expected = {
        (f"{metrics.RECONCILE_DURATION_SECONDS}_count", ()): 1,
        (metrics.RECONCILE_ERRORS_TOTAL, ()): 1,
        (metrics.API_WRITES_TOTAL, (("verb", "patch"), ("kind", "Deployment"))): 1,
        (metrics.DRIFT_REPAIRS_TOTAL, (("kind", "Service"),)): 1,
        (metrics.WORKQUEUE_DEPTH, ()): 3,
        (metrics.WORKQUEUE_LONGEST_WAIT_SECONDS, ()): 1.5,
        (metrics.WATCH_EVENT_AGE_SECONDS, ()): 9,
        (metrics.LEADER, ()): 1,
        (metrics.EVENTS_DROPPED_TOTAL, ()): 1,
        (metrics.WATCH_EVENTS_MISSED_TOTAL, ()): 1,
    }
    assert {(name, labels): registry.get_sample_value(name, dict(labels)) for name, labels in expected} == expected


@pytest.mark.usefixtures("telemetry")
def test_the_metrics_of_the_contract_are_exported(registry: CollectorRegistry) -> None:
    assert exported(generate_latest(registry)) == {row.name: (row.kind, row.help) for row in metrics.OPERATOR_METRICS}


def record(error: Exception | None = None, **extra: object) -> logging.LogRecord:
    info = (type(error), error, None) if error else None
    made = logging.LogRecord(
        "chatfleet_operator.process.workqueue", logging.WARNING, "", 0, "Reconciliation failed: %s", ("x",), info
    )
    made.__dict__.update(extra)
    return made


def test_a_log_line_is_json_and_names_its_object() -> None:
    line = json.loads(JsonFormatter().format(record(object="shop/support")))

    assert list(line) == ["time", "level", "logger", "message", "object"]
    assert line["message"] == "Reconciliation failed: x"
    assert (line["level"], line["object"]) == ("warning", "shop/support")
    assert line["time"].endswith("Z")


def test_an_exception_stays_in_its_line() -> None:
    text = JsonFormatter().format(record(ValueError("a\nb")))

    assert "\n" not in text
    assert "ValueError" in json.loads(text)["exception"]


@pytest.mark.parametrize("style", list(LogFormat))
def test_logging_goes_to_standard_error_at_the_level_of_the_settings(
    style: LogFormat, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    set_up_logging("warning", style)
    logging.getLogger("a").info("not this")
    logging.getLogger("a").warning("this", extra={"object": REF})
    said = capsys.readouterr()

    assert "not this" not in said.err
    assert "this" in said.err
    assert "shop/support" in said.err
    assert said.out == ""


def test_the_process_is_measured() -> None:
    registry = CollectorRegistry()
    Telemetry(registry)
    shown = {sample.name: sample.value for family in registry.collect() for sample in family.samples}

    assert all(shown[row.name] > 0 for row in PROCESS_METRICS)
