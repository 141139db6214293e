"""KnowledgeAvailable: only with a collection of ChromaDB; False while a pod cannot use it, and Ready stays True."""

from dataclasses import replace

from chatfleet_contract.report import Dependency
from chatfleet_operator.model.values import Observed
from harness.kube.operated_cluster import resource
from unit.operator.status.test_conditions import UP, condition, down, evaluate_conditions, serving, status_and_reason

CHROMA = {"url": "http://chroma.shop.svc:8000", "collection": "docs"}
KNOWLEDGE = {"store": {"type": "chroma", "chroma": CHROMA}, "embedding": {"model": "default"}}
MODELS = [{"name": "default", "provider": "scripted", "model": "echo", "knowledge": KNOWLEDGE}]
NAME = "KnowledgeAvailable"


def with_collection(*states: Dependency | None) -> Observed:
    """Return a snapshot with a collection, of which each pod reports a state."""
    seen = serving(resource(models=MODELS))
    pods = [
        replace(pod, report=pod.report.model_copy(update={"chromadb": state}))
        for pod, state in zip(seen.pods, states, strict=True)
        if pod.report
    ]
    return replace(seen, pods=tuple(pods))


def test_without_a_collection_there_is_no_condition() -> None:
    shown = evaluate_conditions(serving(chromadb=UP))
    assert NAME not in {each.type for each in shown.conditions or ()}


def test_it_is_unknown_until_a_pod_has_reported() -> None:
    assert status_and_reason(evaluate_conditions(with_collection(None, None)), NAME) == "Unknown NoPodReport"


def test_one_pod_that_cannot_use_chromadb_makes_it_false_and_ready_stays_true() -> None:
    shown = evaluate_conditions(with_collection(UP, down("collection t/d/docs: connection refused")))
    assert status_and_reason(shown, NAME) == "False Unavailable"
    message = condition(shown, NAME).message
    assert message == "1 of 2 pods cannot use ChromaDB. Pod pod-1: collection t/d/docs: connection refused"
    assert status_and_reason(shown, "Ready") == "True Serving"


def test_it_is_true_when_pods_can_use_chromadb() -> None:
    shown = evaluate_conditions(with_collection(UP, UP))
    assert status_and_reason(shown, NAME) == "True Connected"
    assert condition(shown, NAME).message == "2 of 2 pods can use ChromaDB."
