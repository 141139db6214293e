"""What the pods know of models becomes one: evidence of one pod counts for all, until another has a newer answer."""

from dataclasses import replace
from typing import Any

import pytest

from chatfleet_contract.report import MAX_REPORTED_MODELS, Dependency, ModelOutcome, State
from chatfleet_operator.model.pod_report import parse_report
from chatfleet_operator.model.values import Observed, Outcome
from chatfleet_operator.reconcile.decide import decide
from chatfleet_operator.status.report import report
from harness.kube.operated_cluster import DEFAULTS, MOMENT, pod_report, resource
from unit.operator.status.test_conditions import TWO_PROVIDERS, UP, serving, with_report


def failing(age: float, since: float, provider: str = "scripted") -> ModelOutcome:
    return ModelOutcome(
        provider=provider, state=State.DOWN, message="HTTP 404: no such model", seconds=age, failing_seconds=since
    )


def answered(age: float) -> ModelOutcome:
    return ModelOutcome(provider="scripted", state=State.UP, seconds=age)


def conditions(seen: Observed) -> dict[str, str]:
    status = report(seen, decide(seen, DEFAULTS), Outcome(), MOMENT)
    return {each.type: f"{each.status.value} {each.reason} {each.message}" for each in status.conditions or ()}


def model_of(seen: Observed) -> str:
    assert seen.resource.spec
    return seen.resource.spec.models[0].name


@pytest.mark.parametrize(
    ("other", "status"),
    [
        pytest.param(None, "False", id="the other pod has no requests"),
        pytest.param(answered(age=20), "False", id="an answer before the failures"),
        pytest.param(answered(age=5), "True", id="an answer among the failures"),
        pytest.param(answered(age=0.5), "True", id="an answer after the failures"),
        pytest.param(failing(age=2, since=3), "False", id="both fail"),
    ],
)
def test_what_one_pod_meets_counts_for_all_unless_another_was_answered_since(
    other: ModelOutcome | None, status: str
) -> None:
    seen = serving()
    model = model_of(seen)
    seen = with_report(seen, 0, models={model: failing(age=1, since=10)})
    if other:
        seen = with_report(seen, 1, models={model: other})
    found = conditions(seen)
    assert found["UpstreamsAvailable"].startswith(status)
    assert found["Ready"].startswith(status)


def test_an_old_answer_does_not_hide_newer_failures_for_long() -> None:
    seen = serving()
    model = model_of(seen)
    seen = with_report(seen, 0, models={model: failing(age=1, since=500)})
    assert conditions(with_report(seen, 1, models={model: answered(59)}))["Ready"].startswith("True")
    assert conditions(with_report(seen, 1, models={model: answered(61)}))["Ready"].startswith("False")


def test_the_message_has_model_provider_and_the_words_of_the_vendor() -> None:
    seen = serving()
    model = model_of(seen)
    found = conditions(with_report(seen, 0, models={model: failing(1, 10)}))
    assert found["UpstreamsAvailable"] == (
        f"False Unavailable Model {model} of upstream scripted: HTTP 404: no such model"
    )
    assert found["Ready"] == "False Blocked No model has an available upstream. See UpstreamsAvailable."


def test_ready_stays_true_while_a_fallback_answers() -> None:
    seen = serving(resource(**TWO_PROVIDERS), upstreams={"one": UP, "two": UP}, models={"a": failing(1, 10, "one")})
    found = conditions(seen)
    assert found["Ready"].startswith("True Serving")
    assert found["UpstreamsAvailable"].startswith("False Unavailable Model a of upstream one")


def test_a_provider_that_is_down_is_not_repeated_for_each_of_its_models() -> None:
    down = Dependency(state=State.DOWN, message="HTTP 401")
    models = {"a": failing(1, 10, "one"), "b": failing(1, 10, "two")}
    found = conditions(serving(resource(**TWO_PROVIDERS), upstreams={"one": down, "two": UP}, models=models))
    assert found["UpstreamsAvailable"] == (
        "False Unavailable Upstream one: HTTP 401; Model b of upstream two: HTTP 404: no such model"
    )


def test_what_a_pod_knows_of_an_earlier_configuration_does_not_count() -> None:
    seen = serving()
    seen = with_report(seen, 0, models={model_of(seen): failing(1, 10)}, config="earlier")
    assert conditions(seen)["UpstreamsAvailable"].startswith("True")


def test_the_models_of_a_report_are_bounded() -> None:
    many: dict[str, Any] = {f"m-{n}": failing(1, 1).model_copy(update={"message": "x" * 9_000}) for n in range(500)}
    parsed = parse_report(pod_report("p", "c", models=many).model_dump_json(by_alias=True).encode())
    assert parsed
    assert len(parsed.models) == MAX_REPORTED_MODELS
    assert len(parsed.model_dump_json()) < 50_000
    seen = serving()
    assert seen.resource.spec
    entry = seen.resource.spec.models[0]
    models = [entry.model_copy(update={"name": f"m-{n}", "fallbacks": []}) for n in range(60)]
    wide = replace(seen.resource, spec=seen.resource.spec.model_copy(update={"models": models}))
    found = conditions(serving(wide, models=dict(list(parsed.models.items())[:60])))
    assert found["UpstreamsAvailable"].endswith("56 more")
    assert len(found["UpstreamsAvailable"]) < 2_000
