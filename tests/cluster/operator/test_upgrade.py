"""A newer operator on a real API server: it takes over, and restarts nothing until it is told to."""

from pathlib import Path

from chatfleet_contract import metrics, names
from harness.kube.kubectl import Kubectl
from harness.kube.live_chatdeployment import LiveChatDeployment
from harness.kube.operator_process import account, cluster_wide, grant, operator
from harness.polling import eventually


def generations(shop: LiveChatDeployment) -> dict[str, int]:
    """Return how often each workload was changed: each change of a pod template is one."""
    return {
        each: shop.get(each)["metadata"]["generation"] for each in ("deployment/support", "statefulset/support-redis")
    }


def test_a_newer_operator_restarts_pods_when_the_resource_opts_in(kubectl: Kubectl, tmp_path: Path) -> None:
    kubectl.create_namespace("upgrade")
    kubeconfig = account(kubectl, tmp_path)
    grant(kubectl, *cluster_wide())
    shop = LiveChatDeployment(kubectl, "upgrade")

    def image() -> str:
        return str(shop.get("deployment/support")["spec"]["template"]["spec"]["containers"][0]["image"])

    with operator(kubeconfig, tmp_path / "old.log", {"API_IMAGE": "example.com/api:1"}) as older:
        older.elected()
        shop.apply()
        shop.settles()
    before, revision = generations(shop), shop.get()["status"]["templateRevision"]

    newer = {"API_IMAGE": "example.com/api:2", "REDIS_IMAGE": "example.com/redis:9", "RESYNC_SECONDS": "1"}
    with operator(kubeconfig, tmp_path / "new.log", newer) as running:
        running.elected()
        shop.patch("chatdeployment/support", {"spec": {"streaming": {"heartbeatSeconds": 7}}})
        eventually(lambda: shop.get()["status"]["observedGeneration"] == 2)
        assert generations(shop) == before
        assert shop.get()["status"]["templateRevision"] == revision

        shop.patch(
            "chatdeployment/support", {"metadata": {"annotations": {names.ANNOTATION_TEMPLATE_REVISION: "latest"}}}
        )
        eventually(lambda: image() == "example.com/api:2")
        eventually(lambda: shop.get()["status"]["templateRevision"] != revision)
        assert generations(shop) == {each: number + 1 for each, number in before.items()}
        written, passes = running.writes(), f"{metrics.RECONCILE_DURATION_SECONDS}_count"
        seen = running.metric(passes)
        eventually(lambda: running.metric(passes) > seen + 1)
        assert running.writes() == written
