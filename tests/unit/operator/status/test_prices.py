"""Models that a budget in USD refuses are in ConfigurationValid, by their names, and stop nothing else."""

import json
from dataclasses import replace

from chatfleet_operator.model.pod_report import parse_report
from chatfleet_operator.model.values import Observed
from harness.kube.operated_cluster import resource
from unit.operator.status.test_conditions import condition, evaluate_conditions, serving, status_and_reason


def without_prices(*models: str) -> Observed:
    """Return a snapshot whose pods report `models`."""
    seen = serving(resource())
    update = {"unpriced_models": models}
    pods = tuple(replace(pod, report=pod.report and pod.report.model_copy(update=update)) for pod in seen.pods)
    return replace(seen, pods=pods)


def test_a_model_without_a_price_is_named_once_for_all_pods_and_the_others_serve() -> None:
    status = evaluate_conditions(without_prices("llama"))
    assert status_and_reason(status, "ConfigurationValid") == "False PriceUnknown"
    assert "the price of model llama or of a fallback is not known" in condition(status, "ConfigurationValid").message
    assert status_and_reason(status, "Ready") == "True Serving"


def test_several_models_are_named() -> None:
    status = evaluate_conditions(without_prices("llama", "qwen"))
    assert "models llama, qwen or" in condition(status, "ConfigurationValid").message


def test_it_heals_with_the_report() -> None:
    assert status_and_reason(evaluate_conditions(without_prices()), "ConfigurationValid") == "True Valid"


def test_reports_are_bounded() -> None:
    body = {"pod": "p", "version": "1", "config": "c", "unpricedModels": ["x" * 100_000] * 100}
    report = parse_report(json.dumps(body).encode())
    assert report is not None
    assert len(report.unpriced_models) == 64
    assert all(len(each) < 1000 for each in report.unpriced_models)
