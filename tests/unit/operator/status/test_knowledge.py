"""Documents that are missing are in ConfigurationValid, with the name of the ConfigMap, and stop nothing else."""

import json
from dataclasses import replace

from chatfleet_contract.spec import ChatDeploymentSpec
from chatfleet_operator.model.pod_report import parse_report
from chatfleet_operator.model.values import Observed
from harness.kube.operated_cluster import resource
from unit.operator.status.test_conditions import condition, evaluate_conditions, serving, status_and_reason

MISSING = "ConfigMap billing-docs does not exist or has no keys; create it with documents"
OTHER = "key logo.png of ConfigMap policy is not read: it is not UTF-8; store it as text or Markdown"


def with_knowledge(*problems: str) -> Observed:
    """Return a snapshot whose pods report `problems`."""
    seen = serving(resource())
    update = {"knowledge_errors": problems}
    pods = tuple(replace(pod, report=pod.report and pod.report.model_copy(update=update)) for pod in seen.pods)
    return replace(seen, pods=pods)


def test_a_missing_config_map_is_named_once_for_all_pods() -> None:
    status = evaluate_conditions(with_knowledge(MISSING))
    assert status_and_reason(status, "ConfigurationValid") == "False KnowledgeUnavailable"
    assert condition(status, "ConfigurationValid").message == f"{MISSING}."


def test_the_number_of_further_problems_is_in_the_message() -> None:
    status = evaluate_conditions(with_knowledge(MISSING, OTHER))
    assert condition(status, "ConfigurationValid").message == f"{MISSING} (1 more)."


def test_models_are_served_all_the_same() -> None:
    assert status_and_reason(evaluate_conditions(with_knowledge(MISSING)), "Ready") == "True Serving"


def test_it_heals_with_the_report() -> None:
    assert status_and_reason(evaluate_conditions(with_knowledge()), "ConfigurationValid") == "True Valid"


def test_reports_are_bounded() -> None:
    body = {"pod": "p", "version": "1", "config": "c", "knowledgeErrors": ["x" * 100_000] * 100}
    report = parse_report(json.dumps(body).encode())
    assert report is not None
    assert len(report.knowledge_errors) == 8
    assert all(len(each) < 1000 for each in report.knowledge_errors)


def test_config_maps_of_all_models_are_mounted_once_in_the_order_of_their_use() -> None:
    def model(name: str, *config_maps: str) -> dict[str, object]:
        sources = [{"configMapRef": {"name": each}} for each in config_maps]
        return {"name": name, "provider": "p", "model": "m", "knowledge": {"sources": sources}}

    spec = ChatDeploymentSpec.model_validate(
        {
            "providers": [{"name": "p", "type": "scripted"}],
            "models": [model("a", "policy", "billing"), model("b", "policy", "technical")],
            "redis": {"managed": {}},
        }
    )
    assert spec.knowledge_config_maps == ("policy", "billing", "technical")
