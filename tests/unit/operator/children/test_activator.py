"""The objects that hold requests while the Deployment is at zero."""

from pathlib import Path
from typing import Any

import pytest

from chatfleet_contract import names
from chatfleet_contract.runtime import ActivatorConfig
from chatfleet_contract.spec import ChatDeploymentSpec
from chatfleet_operator.children import build
from chatfleet_operator.children.kinds import WORKLOADS
from chatfleet_operator.model.values import LiveState, Manifest, ObjectId, Resource, identify
from harness.golden import expect, readable
from harness.kube.operated_cluster import DEFAULTS, REF, spec

GOLDEN = Path(__file__).parent / "golden" / "activator.yaml"
KEDA = {"source": "keda", "keda": {"prometheusURL": "http://prometheus.monitoring.svc:9090"}}
ROOM = ObjectId("Deployment", "support-activator")


def made(least: int = 0, **changes: Any) -> dict[ObjectId, Manifest]:  # noqa: ANN401  # JSON
    autoscaling = {"minReplicas": least, "maxReplicas": 9, "activationTimeoutSeconds": 60, **KEDA}
    document = ChatDeploymentSpec.model_validate(spec(autoscaling=autoscaling, **changes))
    resource = Resource(REF, "uid-1", "1", 1, document)
    children = build(resource, document, DEFAULTS, live=LiveState(deployed=True)).children
    return {identify(each): each for each in children}


def pod_labels(children: dict[ObjectId, Manifest], kind: str, name: str) -> dict[str, str]:
    labels: dict[str, str] = children[ObjectId(kind, name)]["spec"]["template"]["metadata"]["labels"]
    return labels


def selected(children: dict[ObjectId, Manifest], service: str) -> set[str]:
    """Return the names of the workloads whose pods a Service selects."""
    chosen = children[ObjectId("Service", service)]["spec"]["selector"].items()
    workloads = [key for key in children if key.kind in WORKLOADS]
    return {key.name for key in workloads if chosen <= pod_labels(children, *key).items()}


def test_the_objects_are_those_of_the_golden_file() -> None:
    children = made(streaming={"maxStreamsPerPod": 20, "maxStreamSeconds": 300, "heartbeatSeconds": 5})
    rooms = [each for key, each in children.items() if key.name in {"support-pods", "support-activator"}]

    expect(readable(rooms), GOLDEN)


def test_the_service_in_front_leads_to_pods_and_activator_and_each_has_one_of_its_own() -> None:
    children = made()

    assert selected(children, "support") == {"support", "support-activator"}
    assert selected(children, "support-pods") == {"support"}
    assert selected(children, "support-activator") == {"support-activator"}


def test_no_workload_takes_the_pods_of_another() -> None:
    children = made()
    for key in (key for key in children if key.kind in WORKLOADS):
        chosen = children[key]["spec"]["selector"]["matchLabels"].items()
        others = [pod_labels(children, *other) for other in children if other.kind in WORKLOADS and other != key]
        assert not [labels for labels in others if chosen <= labels.items()]


@pytest.mark.parametrize(("least", "changes"), [(1, {}), (0, {"suspend": True})])
def test_where_there_is_always_a_pod_or_none_is_wanted_there_is_no_activator(least: int, changes: Manifest) -> None:
    children = made(least, **changes)

    assert ROOM not in children
    assert selected(children, "support") == {"support"}


def test_whether_it_may_scale_to_zero_restarts_no_pod() -> None:
    assert made(0)[ObjectId("Deployment", "support")] == made(1)[ObjectId("Deployment", "support")]


def test_its_environment_is_complete_and_it_holds_no_request_longer_than_its_grace_period() -> None:
    streaming = {"maxStreamsPerPod": 20, "maxStreamSeconds": 300, "heartbeatSeconds": 5}
    pod = made(streaming=streaming, observability={"logFormat": "text"})[ROOM]["spec"]["template"]["spec"]
    (variable,) = pod["containers"][0]["env"]
    config = ActivatorConfig.model_validate_json(variable["value"])

    assert variable["name"] == names.ENV_ACTIVATOR
    assert (config.pods_url, config.pods_health_url) == (
        "http://support-pods.shop.svc:8000",
        "http://support-pods.shop.svc:8001",
    )
    assert (config.activation_timeout_seconds, config.max_streams, config.heartbeat_seconds) == (60, 20, 5)
    assert config.observability.log_format == "text"
    assert pod["terminationGracePeriodSeconds"] >= config.activation_timeout_seconds + config.max_stream_seconds


def test_keda_reads_the_queue_also_while_the_activator_is_idle() -> None:
    assert made()[ObjectId("Service", "support-activator")]["spec"]["publishNotReadyAddresses"] is True
