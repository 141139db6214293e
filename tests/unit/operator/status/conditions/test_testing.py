"""Testing is there while the spec has test routes, or a pod still answers them."""

from dataclasses import replace

import pytest

from chatfleet_operator.model.values import Observed
from harness.kube.operated_cluster import resource
from unit.operator.status.test_conditions import condition, evaluate_conditions, serving, status_and_reason


def seen_with(*, wanted: bool, served: bool) -> Observed:
    seen = serving(resource(observability={"testRoutes": wanted}))
    update = {"test_routes": served}
    pods = tuple(replace(pod, report=pod.report and pod.report.model_copy(update=update)) for pod in seen.pods)
    return replace(seen, pods=pods)


@pytest.mark.parametrize(
    ("wanted", "served", "words"),
    [
        (True, True, "Remove it when the tests are done."),
        (True, False, "Remove it when the tests are done."),
        (False, True, "/test/*. If this lasts, see ConfigurationValid"),
    ],
)
def test_it_is_true_while_they_are_on_or_answered(wanted: bool, served: bool, words: str) -> None:  # noqa: FBT001  # rows
    status = evaluate_conditions(seen_with(wanted=wanted, served=served))
    assert status_and_reason(status, "Testing") == "True TestRoutes"
    assert words in condition(status, "Testing").message
    assert status_and_reason(status, "Ready") == "True Serving"


def test_it_is_absent_otherwise() -> None:
    status = evaluate_conditions(seen_with(wanted=False, served=False))
    assert "Testing" not in {each.type for each in status.conditions or ()}


def test_pods_that_keep_an_invalid_spec_out_are_named() -> None:
    seen = seen_with(wanted=False, served=True)
    broken = replace(seen, resource=replace(resource(), spec=None, problem="The spec is wrong."))
    assert "still answer" in condition(evaluate_conditions(broken), "Testing").message
