"""Which ChatDeployments need the metrics API server, and since when none does."""

from typing import Any

import pytest

from chatfleet_metrics.demand import CHATDEPLOYMENTS, Demand, needs_metrics


def chatdeployment(name: str = "support", *, deleting: bool = False, **spec: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
    metadata = {"namespace": "shop", "name": name, **({"deletionTimestamp": "now"} if deleting else {})}
    return {"metadata": metadata, "spec": spec}


SCALED = {"maxReplicas": 9}
CPU = {"type": "CPU", "averageUtilization": 70}
KEDA = {"maxReplicas": 9, "source": "keda", "keda": {"prometheusURL": "http://prometheus:9090"}}


@pytest.mark.parametrize(
    ("live", "needed"),
    [
        pytest.param(chatdeployment(), False, id="no autoscaling"),
        pytest.param({"metadata": {"namespace": "shop", "name": "a"}}, False, id="no spec"),
        pytest.param(chatdeployment(autoscaling=SCALED), True, id="the defaults: active streams, builtin"),
        pytest.param(chatdeployment(autoscaling={**SCALED, "metrics": [CPU]}), False, id="CPU alone"),
        pytest.param(
            chatdeployment(autoscaling={**SCALED, "metrics": [CPU, {"type": "ActiveStreams"}]}), True, id="CPU too"
        ),
        pytest.param(chatdeployment(autoscaling={**SCALED, "source": "prometheus"}), False, id="another adapter"),
        pytest.param(chatdeployment(autoscaling=KEDA), False, id="KEDA"),
        pytest.param(chatdeployment(autoscaling=SCALED, suspend=True), False, id="suspended: no autoscaler"),
        pytest.param(chatdeployment(autoscaling=SCALED, deleting=True), False, id="being deleted"),
        pytest.param(chatdeployment(autoscaling={"maxReplicas": "many"}), True, id="unreadable: its autoscaler stays"),
    ],
)
def test_an_autoscaler_that_reads_metrics_of_pods_needs_the_server(live: dict[str, Any], *, needed: bool) -> None:
    assert needs_metrics(live) is needed
    assert needs_metrics(CHATDEPLOYMENTS.transform(live)) is needed


def test_the_time_without_a_need_counts_from_the_last_one() -> None:
    now = 100.0
    demand = Demand(lambda: now)
    now = 130.0
    assert (demand.is_known, demand.is_present, demand.seconds_absent) == (False, False, 30)
    demand.replace([chatdeployment("a", autoscaling=SCALED), chatdeployment("b")])
    assert (demand.is_known, demand.is_present, demand.seconds_absent) == (True, True, 0)
    demand.update(chatdeployment("b", autoscaling=SCALED))
    demand.update(chatdeployment("a"))
    assert demand.is_present
    now = 200.0
    demand.delete(chatdeployment("b", autoscaling=SCALED))
    now = 210.0
    assert (demand.is_present, demand.seconds_absent) == (False, 10)
    demand.delete(chatdeployment("c"))
    demand.replace([])
    assert demand.seconds_absent == 10
