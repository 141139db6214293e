"""The metrics API server that runs on demand: whole reconciliations start it, and say what is pending."""

from dataclasses import replace
from typing import Any

import pytest

from chatfleet_contract import names
from chatfleet_operator.model.metrics_api import MetricsAPIServer
from chatfleet_operator.model.values import Manifest, ObjectId
from chatfleet_operator.reconcile.reconcile import reconcile
from harness.kube.operated_cluster import MOMENT, REF, OperatedCluster, operated_cluster

BUILTIN = {"minReplicas": 3, "maxReplicas": 9}


async def reconcile_until_done(operated: OperatedCluster, count: int = 2) -> None:
    for _ in range(count):
        await reconcile(REF, operated.parts)


def api_service(labels: dict[str, str], **status: Any) -> Manifest:  # noqa: ANN401  # JSON
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": names.METRICS_APIS[0], "namespace": "", "labels": labels},
        "spec": {"service": {"namespace": "monitoring", "name": "prometheus-adapter"}},
        "status": status,
    }


SERVER = MetricsAPIServer("chatfleet-system", "chatfleet-metrics-apiserver", 2)
SERVER_ID = ObjectId("Deployment", SERVER.name)


async def on_demand(replicas: int = 0, *others: Manifest, **changes: Any) -> OperatedCluster:  # noqa: ANN401  # JSON
    """Return a reconciled cluster whose metrics API server runs on demand and has so many pods before."""
    operated = operated_cluster(**changes)
    for each in others:
        operated.cluster.put(each)
    operated.defaults = replace(operated.defaults, metrics_apiserver=SERVER)
    metadata = {"name": SERVER.name, "namespace": SERVER.namespace}
    operated.cluster.put(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"replicas": replicas}}
    )
    await reconcile_until_done(operated, 2)
    return operated


def server(operated: OperatedCluster) -> Manifest:
    return operated.cluster.get(SERVER.namespace, SERVER_ID)


def starts(operated: OperatedCluster) -> int:
    return operated.cluster.writes.count(f"start {SERVER_ID}")


CPU_ALONE = {**BUILTIN, "metrics": [{"type": "CPU", "averageUtilization": 70}]}


@pytest.mark.parametrize(
    ("changes", "replicas"),
    [
        pytest.param({"autoscaling": BUILTIN}, 2, id="needed"),
        pytest.param({}, 0, id="no autoscaling"),
        pytest.param({"autoscaling": CPU_ALONE}, 0, id="CPU alone"),
        pytest.param({"autoscaling": {**BUILTIN, "source": "prometheus"}}, 0, id="another adapter"),
        pytest.param({"autoscaling": BUILTIN, "suspend": True}, 0, id="suspended"),
    ],
)
async def test_the_metrics_api_server_starts_with_the_first_chatdeployment_that_needs_it(
    changes: Manifest, replicas: int
) -> None:
    assert server(await on_demand(**changes))["spec"]["replicas"] == replicas


async def test_a_metrics_api_server_that_starts_is_pending_and_one_that_does_not_is_missing() -> None:
    operated = await on_demand(autoscaling=BUILTIN)
    assert operated.condition("AutoscalingActive") == ("Unknown", "AutoscalerPending")
    assert str(SERVER_ID) in operated.condition_document("AutoscalingActive")["message"]
    assert starts(operated) == 1

    unready = {"conditions": [{"type": "Available", "status": "False", "lastTransitionTime": MOMENT}]}
    operated.cluster.edit(SERVER.namespace, SERVER_ID, lambda live: live.update(status=unready))
    await reconcile_until_done(operated)
    assert operated.condition("AutoscalingActive") == ("Unknown", "AutoscalerPending")
    operated.moment = MOMENT.replace("03:04", "03:05")
    await reconcile_until_done(operated)
    assert operated.condition("AutoscalingActive") == ("False", "MetricsAPIMissing")
    assert "does not start" in operated.condition_document("AutoscalingActive")["message"]
    assert starts(operated) == 1


async def test_a_metrics_api_server_without_a_pod_is_started_again() -> None:
    operated = await on_demand(1, autoscaling=BUILTIN)
    assert starts(operated) == 0
    down = {"type": "Available", "status": "False", "reason": "MissingEndpoints"}
    operated.cluster.put(api_service({names.LABEL_MANAGED_BY: names.MANAGED_BY}, conditions=[down]))
    operated.cluster.edit(SERVER.namespace, SERVER_ID, lambda live: live["spec"].update(replicas=0))
    await reconcile_until_done(operated)
    assert server(operated)["spec"]["replicas"] == SERVER.replicas


async def test_beside_a_foreign_metrics_api_ours_is_not_started() -> None:
    operated = await on_demand(0, api_service({"app": "prometheus-adapter"}), autoscaling=BUILTIN)
    assert server(operated)["spec"]["replicas"] == 0
