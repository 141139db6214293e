"""The end of every installation; last by its name, as the other tests share one."""

import pytest

from harness.kube.helm import NAMESPACE as SYSTEM
from harness.kube.node import Node
from harness.polling import eventually

pytestmark = pytest.mark.timeout(300)


def test_uninstalling_leaves_nothing_but_the_crd(installed: Node) -> None:
    installed.kubectl("delete", "chatdeployments", "--all", "-n", "default", "--timeout=30s")

    installed.helm("uninstall", "chatfleet", "--wait")

    everywhere = "clusterroles,clusterrolebindings,customresourcedefinitions"
    left = installed.kubectl("get", everywhere, "-o", "name").splitlines()
    crd = "customresourcedefinition.apiextensions.k8s.io/chatdeployments.chatfleet.io"
    assert [name for name in left if "chatfleet" in name] == [crd]
    inside = ["get", "all,roles,rolebindings,serviceaccounts,leases,secrets,configmaps", "-n", SYSTEM, "-o", "name"]
    built_in = ["configmap/kube-root-ca.crt", "serviceaccount/default"]
    eventually(lambda: sorted(installed.kubectl(*inside).split()) == built_in)
