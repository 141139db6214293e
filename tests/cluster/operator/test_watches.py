"""Drift that the operator learns of by its watches, beside a real API server: long before its next resync."""

from pathlib import Path

from harness.kube.kubectl import Kubectl
from harness.kube.live_chatdeployment import WATCHED, LiveChatDeployment
from harness.kube.operator_process import account, cluster_wide, grant, operator
from harness.polling import eventually


def test_a_watched_child_that_is_deleted_comes_back_without_a_resync(kubectl: Kubectl, tmp_path: Path) -> None:
    kubectl.create_namespace("watches")
    kubeconfig = account(kubectl, tmp_path)
    grant(kubectl, *cluster_wide())
    shop = LiveChatDeployment(kubectl, "watches")
    settings = {"NAMESPACES": "watches", "RESYNC_SECONDS": "3600"}
    with operator(kubeconfig, tmp_path / "operator.log", settings) as running:
        running.elected()
        shop.apply()
        shop.settles()
        before = {each: shop.get(each)["metadata"]["uid"] for each in WATCHED}
        for each in WATCHED:
            if each.startswith("persistentvolumeclaim"):  # its finalizer has no controller here
                shop.patch(each, {"metadata": {"finalizers": None}})
            shop.delete(each)
        eventually(lambda: all(map(shop.exists, WATCHED)))
        eventually(lambda: not {shop.get(each)["metadata"]["uid"] for each in WATCHED} & {*before.values()})
