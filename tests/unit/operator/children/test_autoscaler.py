"""The objects that scale the Deployment."""

from pathlib import Path
from typing import Any

import pytest

from chatfleet_contract.spec import ChatDeploymentSpec
from chatfleet_operator.children import build
from chatfleet_operator.children.kinds import AUTOSCALERS
from chatfleet_operator.model.values import LiveState, Manifest, Resource, identify
from harness.golden import expect, readable_by_name
from harness.kube.operated_cluster import DEFAULTS, REF, spec

GOLDEN = Path(__file__).parent / "golden" / "autoscalers.yaml"

KEDA = {"source": "keda", "keda": {"prometheusURL": "http://prometheus.monitoring.svc:9090"}}
EVERY_METRIC = [
    {"type": "ActiveStreams", "averageValue": "350"},
    {"type": "TokensPerSecond", "averageValue": "4k"},
    {"type": "QueuedRequests", "averageValue": "500m"},
    {"type": "CPU", "averageUtilization": 80},
]
TOLERANT = {"scaleUp": {"tolerance": "0.05"}, "scaleDown": {"stabilizationWindowSeconds": 600}}


def made(autoscaling: Manifest, *, foreign: bool = False, deployed: bool = True, **changes: Any) -> list[Manifest]:  # noqa: ANN401  # JSON
    """Return the Deployment of the API and what follows it."""
    document = ChatDeploymentSpec.model_validate(spec(autoscaling={"maxReplicas": 9, **autoscaling}, **changes))
    resource = Resource(REF, "uid-1", "1", 1, document)
    found = LiveState(deployed=deployed, foreign_metrics=foreign)
    children = build(resource, document, DEFAULTS, live=found).children
    kinds = [each["kind"] for each in children]
    return list(children[kinds.index("Deployment") :])


def scaler(autoscaling: Manifest, *, foreign: bool = False, **changes: Any) -> Manifest:  # noqa: ANN401  # JSON
    return made(autoscaling, foreign=foreign, **changes)[-1]


def test_the_objects_are_those_of_the_golden_file() -> None:
    shown = {
        "by default": scaler({}),
        "every metric": scaler({"metrics": EVERY_METRIC, "behavior": TOLERANT, "source": "prometheus"}),
        "a foreign metrics API": scaler({"metrics": EVERY_METRIC}, foreign=True),
        "KEDA, from zero": scaler({**KEDA, "minReplicas": 0, "metrics": EVERY_METRIC}),
    }
    expect(readable_by_name(shown), GOLDEN)


@pytest.mark.parametrize(("max_streams", "target"), [(500, "350"), (10, "7"), (1, "1")])
def test_by_default_a_pod_carries_seven_tenths_of_the_streams_that_it_takes(max_streams: int, target: str) -> None:
    (metric,) = scaler({}, streaming={"maxStreamsPerPod": max_streams})["spec"]["metrics"]

    assert metric["pods"]["target"]["averageValue"] == target


def test_the_deployment_is_scaled_and_not_the_resource() -> None:
    for each in (scaler({}), scaler(KEDA)):
        assert each["spec"]["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "support"}


@pytest.mark.parametrize(
    ("deployed", "changes", "replicas"),
    [
        (False, {}, 3),
        (True, {}, None),
        (True, {"suspend": True}, 0),
        (False, {"suspend": True}, 0),
    ],
)
def test_replicas_are_set_only_at_creation_and_when_suspended(
    deployed: bool,  # noqa: FBT001  # a table's column
    changes: Manifest,
    replicas: int | None,
) -> None:
    deployment, *scalers = made({"minReplicas": 3}, deployed=deployed, **changes)

    assert deployment["spec"].get("replicas") == replicas
    assert len(scalers) == (0 if changes else 1)


def test_without_autoscaling_nothing_scales() -> None:
    document = ChatDeploymentSpec.model_validate(spec())
    children = build(
        Resource(REF, "uid-1", "1", 1, document), document, DEFAULTS, live=LiveState(foreign_metrics=True)
    ).children

    assert not {identify(each).kind for each in children} & AUTOSCALERS


def test_a_tolerance_is_passed_on_only_when_given() -> None:
    behavior = scaler({"behavior": TOLERANT})["spec"]["behavior"]

    assert behavior["scaleUp"]["tolerance"] == "0.05"
    assert "tolerance" not in behavior["scaleDown"]
    assert behavior["scaleDown"]["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 60}]


def test_with_a_foreign_metrics_api_pods_come_by_cpu_and_none_goes() -> None:
    spec_of_scaler = scaler({}, foreign=True)["spec"]

    assert [metric["containerResource"]["name"] for metric in spec_of_scaler["metrics"]] == ["cpu"]
    assert spec_of_scaler["behavior"]["scaleDown"]["selectPolicy"] == "Disabled"
    assert spec_of_scaler["behavior"]["scaleUp"]["selectPolicy"] == "Max"


@pytest.mark.parametrize("autoscaling", [{"source": "prometheus"}, KEDA])
def test_whose_metrics_api_it_is_matters_to_the_builtin_source_alone(autoscaling: Manifest) -> None:
    assert scaler(autoscaling, foreign=True) == scaler(autoscaling)


def test_keda_takes_no_value_as_an_error() -> None:
    (streams,) = scaler(KEDA)["spec"]["triggers"]

    assert streams["metadata"]["ignoreNullValues"] == "false"


def test_from_zero_waiting_requests_start_the_first_pod_and_as_many_more_as_their_streams_need() -> None:
    streams, waiting = scaler({**KEDA, "minReplicas": 0})["spec"]["triggers"]

    assert streams["metadata"]["threshold"] == "350"
    assert waiting == {
        "type": "metrics-api",
        "metadata": {
            "url": "http://support-activator.shop.svc:8001/queue",
            "valueLocation": "waiting",
            "targetValue": "350",
        },
    }


@pytest.mark.parametrize(("least", "polling"), [(0, 2), (1, 15)])
def test_keda_asks_often_where_somebody_may_wait(least: int, polling: int) -> None:
    assert scaler({**KEDA, "minReplicas": least})["spec"]["pollingInterval"] == polling


@pytest.mark.parametrize(("window", "cooldown"), [(300, 300), (900, 900), (0, 60)])
def test_the_last_pod_is_removed_after_the_same_idle_time_as_any_other_and_never_before_a_scrape(
    window: int, cooldown: int
) -> None:
    behavior = {"scaleDown": {"stabilizationWindowSeconds": window}}

    assert scaler({**KEDA, "behavior": behavior})["spec"]["cooldownPeriod"] == cooldown
