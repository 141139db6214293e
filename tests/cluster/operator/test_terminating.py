"""A namespace that terminates, beside an API server without controllers: nothing ends the ChatDeployment in it."""

from pathlib import Path

from harness.kube.kubectl import Kubectl
from harness.kube.live_chatdeployment import LiveChatDeployment
from harness.kube.operator_process import account, cluster_wide, grant, operator
from harness.polling import eventually


def test_a_child_that_cannot_return_as_its_namespace_terminates_is_reported(kubectl: Kubectl, tmp_path: Path) -> None:
    kubectl.create_namespace("terminating")
    kubeconfig = account(kubectl, tmp_path)
    grant(kubectl, *cluster_wide())
    shop = LiveChatDeployment(kubectl, "terminating")
    with operator(kubeconfig, tmp_path / "operator.log", {"NAMESPACES": "terminating"}) as running:
        running.elected()
        shop.apply()
        shop.settles()
        kubectl("delete", "namespace", "terminating", "--wait=false")
        shop.delete("service/support")
        words = ("Service support", "because it is being terminated")
        eventually(shop.has_condition("ConfigurationValid", "ChildRejected", *words))
        shop.delete("chatdeployment/support")  # as the controller of namespaces does
        eventually(lambda: not shop.exists("chatdeployment/support"))
        assert "Traceback" not in running.log.read_text()
