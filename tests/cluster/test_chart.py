"""The chart on a real API server: what it makes is taken, its rights hold, and the definition outlives the release."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from harness.kube.helm import CHART, NAMESPACE, Helm, ensure_helm
from harness.kube.kubectl import Kubectl

pytestmark = pytest.mark.timeout(900)  # the first test of all may have to build helm

ACCOUNT = f"--as=system:serviceaccount:{NAMESPACE}:chatfleet"
DEFINITION = "crd/chatdeployments.chatfleet.io"


@pytest.fixture(scope="module")
def helm(kubectl: Kubectl) -> Helm:
    """Point helm at the API server, and have a namespace that takes none but restricted pods."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
    kubectl.apply(yaml.safe_dump(space))  # the operator's own tests may have made it
    return Helm(ensure_helm().binary, ("--kubeconfig", str(kubectl.kubeconfig)))


@pytest.fixture(scope="module")
def notes(helm: Helm) -> Iterator[str]:
    """Install the chart for the tests that look at it; the tests' own definition becomes the release's."""
    yield helm("install", "chatfleet", str(CHART), "--take-ownership")
    helm("uninstall", "chatfleet")


def test_the_definition_outlives_the_release_and_is_upgraded_by_the_next(
    kubectl: Kubectl, helm: Helm, tmp_path: Path
) -> None:
    """The first test of this file: the others share a release."""
    older = tmp_path / "chatfleet"
    shutil.copytree(CHART, older)
    file = older / "files/chatdeployments.chatfleet.io.yaml"
    file.write_text(file.read_text().replace("name: URL", "name: Address"))
    helm("install", "chatfleet", str(older), "--take-ownership", "--force-conflicts")
    helm("uninstall", "chatfleet")
    assert "Address" in columns(kubectl)
    helm("install", "chatfleet", str(older))
    helm("upgrade", "chatfleet", str(CHART))
    assert "URL" in columns(kubectl)
    helm("uninstall", "chatfleet")
    left = "deployments,services,serviceaccounts,roles,rolebindings,configmaps,secrets"
    own = kubectl.json("get", left, "-n", NAMESPACE, "-l", "app.kubernetes.io/part-of=chatfleet")
    rights = kubectl.json("get", "clusterroles,clusterrolebindings", "-l", "app.kubernetes.io/part-of=chatfleet")
    assert own["items"] + rights["items"] == []
    assert "URL" in columns(kubectl)


@pytest.mark.parametrize("name", ["chatfleet", "chatfleet-metrics-apiserver"])
def test_its_pods_are_taken_where_only_restricted_pods_are(kubectl: Kubectl, notes: str, name: str) -> None:
    assert notes
    template = kubectl.json("get", "-n", NAMESPACE, f"deployment/{name}")["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", **template, "metadata": {"name": "operator", "namespace": NAMESPACE}}
    kubectl("create", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(pod))


@pytest.mark.parametrize(
    ("verb", "resource", "allowed"),
    [
        ("get", "secrets", True),
        ("list", "secrets", False),
        ("watch", "secrets", False),
        ("patch", "chatdeployments.chatfleet.io:status", True),
        ("patch", "chatdeployments.chatfleet.io", False),
        ("delete", "deployments.apps", True),  # a waiting room that is no longer wanted
        ("delete", "pods", False),
        ("create", "pods", False),
        ("delete", "horizontalpodautoscalers.autoscaling", True),
        ("get", "apiservices.apiregistration.k8s.io/v1beta2.custom.metrics.k8s.io", True),
        ("get", "apiservices.apiregistration.k8s.io/v1.apps", False),
        ("patch", "apiservices.apiregistration.k8s.io", False),
        ("create", "clusterroles.rbac.authorization.k8s.io", False),
    ],
)
def test_the_operator_has_the_rights_it_needs_only(
    kubectl: Kubectl, notes: str, verb: str, resource: str, *, allowed: bool
) -> None:
    assert notes
    resource, _, part = resource.partition(":")
    asked = ("auth", "can-i", verb, resource, f"--subresource={part}", "-n", "shop", ACCOUNT)
    if allowed:
        assert kubectl(*asked).strip() == "yes"
    else:
        with pytest.raises(AssertionError, match=r"no$"):
            kubectl(*asked)


def test_an_upgrade_leaves_the_certificates_of_the_metrics_api_server(kubectl: Kubectl, helm: Helm, notes: str) -> None:
    assert notes
    kept = json.dumps({"data": {"tls.crt": "a2VwdA=="}})
    where = ("secret", "chatfleet-metrics-apiserver", "-n", NAMESPACE)
    kubectl("patch", *where, "--type=merge", "-p", kept)
    helm("upgrade", "chatfleet", str(CHART))
    assert kubectl.json("get", *where)["data"] == {"tls.crt": "a2VwdA=="}


def test_the_notes_give_an_example_that_the_server_takes(kubectl: Kubectl, notes: str) -> None:
    (example,) = re.findall(r"<<EOF\n(.*?)^ *EOF$", notes, re.DOTALL | re.MULTILINE)
    kubectl("create", "--dry-run=server", "-f", "-", stdin=example)


def columns(kubectl: Kubectl) -> set[str]:
    (version,) = kubectl.json("get", DEFINITION)["spec"]["versions"]
    return {column["name"] for column in version["additionalPrinterColumns"]}
