"""Whole passes with an autoscaler: who says how many pods run, and how that changes hands without a jump."""

from typing import Any

import pytest

from chatfleet_contract import names
from chatfleet_contract.report import ReportedUsage
from chatfleet_operator.model.errors import Refused, Retry
from chatfleet_operator.model.requeue import Requeue
from chatfleet_operator.model.values import Manifest, ObjectId
from chatfleet_operator.reconcile.reconcile import reconcile
from harness.kube.fake_cluster import refuse
from harness.kube.operated_cluster import MOMENT, REF, OperatedCluster, operated_cluster

HPA = ObjectId("HorizontalPodAutoscaler", "support")
SCALED_OBJECT = ObjectId("ScaledObject", "support")
DEPLOYMENT = ObjectId("Deployment", "support")
BUILTIN = {"minReplicas": 3, "maxReplicas": 9}
KEDA = {**BUILTIN, "source": "keda", "keda": {"prometheusURL": "http://prometheus:9090"}}


async def reconcile_until_done(operated: OperatedCluster, count: int = 4) -> Requeue:
    """Run some passes; returns the last requeue."""
    for _ in range(count):
        requeue = (await reconcile(REF, operated.parts)).requeue
    return requeue


async def rolled_out(pods: int = 3, **spec: Any) -> OperatedCluster:  # noqa: ANN401  # JSON
    operated = operated_cluster(**spec)
    await reconcile_until_done(operated)
    operated.roll_out(pods)
    await reconcile_until_done(operated)
    operated.cluster.writes.clear()
    return operated


def declare(operated: OperatedCluster, **spec: Any) -> None:  # noqa: ANN401  # JSON
    """Change the spec; None takes a field away."""

    def change(live: Manifest) -> None:
        live["spec"] = {key: value for key, value in {**live["spec"], **spec}.items() if value is not None}

    operated.change(names.KIND, "support", change)


def scale(operated: OperatedCluster, pods: int) -> None:
    """Set the number of pods as an autoscaler does."""
    operated.cluster.edit(
        REF.namespace, DEPLOYMENT, lambda live: live["spec"].update(replicas=pods), manager="kube-controller-manager"
    )


def replicas(operated: OperatedCluster) -> int:
    count: int = operated.live(*DEPLOYMENT)["spec"]["replicas"]
    return count


def exists(operated: OperatedCluster, key: ObjectId) -> bool:
    return (REF.namespace, key) in operated.cluster.objects


async def test_a_new_deployment_starts_at_the_least_and_is_then_left_to_the_autoscaler() -> None:
    operated = operated_cluster(autoscaling=BUILTIN)
    await reconcile_until_done(operated, 2)
    assert replicas(operated) == 3
    assert exists(operated, HPA)

    await reconcile_until_done(operated)
    scale(operated, 7)
    operated.roll_out(7)
    await reconcile_until_done(operated)
    operated.cluster.writes.clear()

    assert await reconcile_until_done(operated) is Requeue.SETTLED
    assert (replicas(operated), operated.cluster.writes) == (7, [])


@pytest.mark.parametrize(("before", "after"), [(5, 5), (2, 3), (12, 9), (0, 3)])
async def test_switching_it_on_goes_on_from_what_is_there_within_the_bounds(before: int, after: int) -> None:
    operated = await rolled_out(before, replicas=before)
    declare(operated, autoscaling=BUILTIN)
    await reconcile_until_done(operated)

    assert replicas(operated) == after
    writes = [write for write in operated.cluster.writes if "Deployment" in write]
    assert writes == ["hand over replicas of Deployment support", "apply Deployment support"]


async def test_switching_it_off_deletes_the_autoscaler_first_and_then_sets_the_replicas() -> None:
    operated = await rolled_out(replicas=2, autoscaling=BUILTIN)
    scale(operated, 7)
    declare(operated, autoscaling=None)
    await reconcile_until_done(operated)

    assert replicas(operated) == 2
    assert operated.cluster.writes[:2] == ["delete HorizontalPodAutoscaler support", "apply Deployment support"]


async def test_suspending_scales_to_zero_without_an_autoscaler_and_resuming_starts_at_the_least() -> None:
    operated = await rolled_out(autoscaling=BUILTIN)
    scale(operated, 7)
    declare(operated, suspend=True)
    await reconcile_until_done(operated)
    assert replicas(operated) == 0
    assert not exists(operated, HPA)
    assert operated.condition("AutoscalingActive") == ("False", "Suspended")

    declare(operated, suspend=False)
    await reconcile_until_done(operated)
    assert replicas(operated) == 3
    assert exists(operated, HPA)


async def test_a_new_template_leaves_the_number_of_pods_alone() -> None:
    operated = await rolled_out(autoscaling=BUILTIN)
    scale(operated, 7)
    declare(operated, template={"image": "example.com/api:2"})
    await reconcile_until_done(operated)

    assert replicas(operated) == 7
    assert "apply Deployment support" in operated.cluster.writes


async def test_changing_the_source_removes_the_other_autoscaler_before_the_new_one_comes() -> None:
    operated = await rolled_out(autoscaling=BUILTIN)
    declare(operated, autoscaling=KEDA)
    await reconcile_until_done(operated)
    assert (exists(operated, HPA), exists(operated, SCALED_OBJECT)) == (False, True)
    assert operated.cluster.writes[:2] == ["delete HorizontalPodAutoscaler support", "apply ScaledObject support"]

    declare(operated, autoscaling=BUILTIN)
    await reconcile_until_done(operated)
    assert (exists(operated, HPA), exists(operated, SCALED_OBJECT)) == (True, False)


async def test_without_keda_a_condition_reports_it_and_everything_else_goes_on() -> None:
    operated = operated_cluster(autoscaling=KEDA)
    operated.cluster.unserved.add("ScaledObject")
    await reconcile_until_done(operated)
    operated.roll_out(3)

    assert await reconcile_until_done(operated) is Requeue.REFUSED  # KEDA may come at any time
    assert operated.condition("AutoscalingActive") == ("False", "KEDANotInstalled")
    assert operated.condition("Ready") == ("True", "Serving")
    operated.cluster.unserved.clear()
    await reconcile_until_done(operated)
    assert operated.condition("AutoscalingActive") == ("Unknown", "AutoscalerPending")


@pytest.mark.parametrize("failure", [Refused("denied"), Retry("conflict")])
async def test_a_number_that_could_not_be_handed_over_is_not_given_up(failure: Exception) -> None:
    operated = await rolled_out(5, replicas=5)

    def check(write: str) -> None:
        if write.startswith("hand over replicas of"):
            raise failure

    operated.cluster.before_write = check
    declare(operated, autoscaling=BUILTIN)
    await reconcile_until_done(operated)
    assert replicas(operated) == 5
    assert "apply Deployment support" not in operated.cluster.writes

    operated.cluster.before_write = refuse()
    await reconcile_until_done(operated)
    assert replicas(operated) == 5


async def test_what_the_autoscaler_has_set_meanwhile_is_not_overwritten() -> None:
    operated = operated_cluster(autoscaling=BUILTIN)
    await reconcile_until_done(operated, 2)

    def meanwhile(write: str) -> None:
        if write.startswith("apply ConfigMap"):
            scale(operated, 8)

    operated.cluster.before_write = meanwhile
    operated.cluster.remove(REF.namespace, ObjectId("ConfigMap", "support-runtime"))
    await reconcile_until_done(operated)

    assert replicas(operated) == 8


def api_service(labels: dict[str, str]) -> Manifest:
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": names.METRICS_APIS[1], "namespace": "", "labels": labels},
        "spec": {"service": {"namespace": "monitoring", "name": "prometheus-adapter"}},
    }


async def test_a_foreign_metrics_api_is_named_and_not_taken_over() -> None:
    operated = await rolled_out(autoscaling=BUILTIN)
    operated.cluster.put(api_service({"app": "prometheus-adapter"}))
    await reconcile_until_done(operated)

    assert operated.condition("AutoscalingActive") == ("False", "MetricsAPIConflict")
    assert "monitoring/prometheus-adapter" in operated.condition_document("AutoscalingActive")["message"]
    assert [metric["type"] for metric in operated.live(*HPA)["spec"]["metrics"]] == ["ContainerResource"]
    operated.cluster.remove("", ObjectId("APIService", names.METRICS_APIS[1]))
    operated.cluster.put(api_service({names.LABEL_MANAGED_BY: names.MANAGED_BY}))
    await reconcile_until_done(operated)
    assert operated.condition("AutoscalingActive") == ("Unknown", "AutoscalerPending")
    assert [metric["type"] for metric in operated.live(*HPA)["spec"]["metrics"]] == ["Pods"]


async def test_an_operator_of_a_few_namespaces_need_not_know_whose_metrics_api_it_is() -> None:
    operated = operated_cluster(autoscaling=BUILTIN)

    def check(read: str) -> None:
        if read.startswith("get APIService"):
            raise Refused("cannot get apiservices at the cluster scope")

    operated.cluster.before_read = check
    await reconcile_until_done(operated)

    assert exists(operated, HPA)
    assert operated.condition("AutoscalingActive") == ("Unknown", "AutoscalerPending")
    assert operated.condition("ConfigurationValid") == ("True", "Valid")


def busy(operated: OperatedCluster, **streams: int) -> None:
    """Let the pods named hold so many streams."""
    for ip, report in operated.prober.reports.items():
        if report.pod in streams:
            operated.prober.reports[ip] = report.model_copy(update={"active_streams": streams[report.pod]})


async def test_busy_pods_cost_more_to_delete_and_at_rest_nothing_is_written() -> None:
    operated = await rolled_out(autoscaling=BUILTIN)
    busy(operated, **{"support-1": 9})
    await reconcile_until_done(operated, 1)
    assert [write for write in operated.cluster.writes if write.startswith("set deletion cost of")] == [
        "set deletion cost of Pod support-1 9"
    ]
    annotations = operated.live("Pod", "support-1")["metadata"]["annotations"]
    assert annotations == {names.POD_DELETION_COST: "9", names.ANNOTATION_DELETION_COST_TIME: MOMENT}

    operated.cluster.writes.clear()
    busy(operated, **{"support-1": 12})
    await reconcile_until_done(operated)
    assert [write for write in operated.cluster.writes if write.startswith("set deletion cost of")] == []


async def test_a_cost_is_not_written_again_before_its_time() -> None:
    operated = await rolled_out(autoscaling=BUILTIN)
    busy(operated, **{"support-1": 9})
    await reconcile_until_done(operated)
    operated.cluster.writes.clear()
    busy(operated, **{"support-0": 50, "support-1": 0})
    await reconcile_until_done(operated)
    assert operated.cluster.writes[0] == "set deletion cost of Pod support-0 50"
    assert "set deletion cost of Pod support-1 0" not in operated.cluster.writes

    operated.moment = "2026-01-02T03:04:36Z"
    busy(operated, **{"support-2": 40, "support-0": 0})
    await reconcile_until_done(operated, 1)
    assert "set deletion cost of Pod support-0 0" in operated.cluster.writes


async def test_fewer_replicas_by_hand_take_idle_pods_too() -> None:
    operated = await rolled_out(3, replicas=3)
    busy(operated, **{"support-0": 9})
    await reconcile_until_done(operated)
    assert not [write for write in operated.cluster.writes if write.startswith("set deletion cost of")]

    operated.cluster.writes.clear()
    declare(operated, replicas=2)
    await reconcile_until_done(operated, 1)
    assert operated.cluster.writes[:2] == ["set deletion cost of Pod support-0 9", "apply Deployment support"]


async def test_tokens_per_second_are_the_sum_of_the_reports() -> None:
    operated = await rolled_out(2)
    assert "tokensPerSecond" not in operated.live(names.KIND, "support")["status"]
    for ip, rate in (("192.0.2.1", 100.4), ("192.0.2.2", 50.2)):
        operated.prober.reports[ip] = operated.prober.reports[ip].model_copy(update={"tokens_per_second": rate})
    await reconcile_until_done(operated)

    assert operated.live(names.KIND, "support")["status"]["tokensPerSecond"] == 151


async def test_the_status_has_the_used_part_of_the_budget_and_events_at_80_and_100_percent() -> None:
    operated = await rolled_out(2)
    assert "budgetUsedPercent" not in operated.live(names.KIND, "support")["status"]
    recorded = []
    for own, other in ((0.5, None), (0.5, 0.799), (0.804, 0.3), (0.9, 0.9), (0.999, None), (1.0, 0.2), (1.0, 1.0)):
        for ip, used in (("192.0.2.1", own), ("192.0.2.2", other)):
            operated.prober.reports[ip] = operated.prober.reports[ip].model_copy(update={"budget_used": used})
        await reconcile_until_done(operated)
        percent = operated.live(names.KIND, "support")["status"]["budgetUsedPercent"]
        recorded.append((percent, [notice.reason for notice in operated.recorded.notices]))
        operated.recorded.notices.clear()
    assert recorded == [
        (50, []),
        (79, []),
        (80, ["BudgetNearlyExhausted"]),
        (90, []),
        (99, []),
        (100, ["BudgetExhausted"]),
        (100, []),
    ]


async def test_the_usage_of_the_day_is_the_newest_that_a_pod_reports_and_stays_without_pods() -> None:
    operated = await rolled_out(2)
    assert "usage" not in operated.live(names.KIND, "support")["status"]
    before = ReportedUsage(day="2026-11-27", input_tokens=900, output_tokens=90, cost_usd="9")
    after = ReportedUsage(day="2026-11-28", input_tokens=10, output_tokens=2, cost_usd="0.000012")
    for ip, usage in (("192.0.2.1", after), ("192.0.2.2", before)):
        operated.prober.reports[ip] = operated.prober.reports[ip].model_copy(update={"usage": usage})
    await reconcile_until_done(operated)
    expected = {"day": "2026-11-28", "inputTokens": 10, "outputTokens": 2, "costUSD": "0.000012"}
    assert operated.live(names.KIND, "support")["status"]["usage"] == expected

    operated.prober.reports.clear()
    await reconcile_until_done(operated)
    assert operated.live(names.KIND, "support")["status"]["usage"] == expected
