"""What the tests read without kubectl is what kubectl prints."""

import json

import pytest

from harness.kube.kubectl import Kubectl

HERE = ("-n", "kube-system")


@pytest.mark.parametrize(
    "words",
    [
        ("configmap", "extension-apiserver-authentication", *HERE, "-o", "json"),
        ("cm/extension-apiserver-authentication", *HERE, "-o", "json", "--show-managed-fields"),
        (
            "cm/extension-apiserver-authentication",
            "role/extension-apiserver-authentication-reader",
            *HERE,
            "-o",
            "json",
        ),
        ("roles,rolebindings", *HERE, "-o", "json"),
        ("role", "-A", "-l", "kubernetes.io/bootstrapping=rbac-defaults", "-o", "json"),
        ("clusterroles.rbac.authorization.k8s.io", "-o", "name"),
        ("cdep", "nothing", *HERE, "--ignore-not-found", "-o", "json"),
        ("cdep/nothing", "cm/extension-apiserver-authentication", *HERE, "--ignore-not-found", "-o", "name"),
        ("namespace", "kube-system", "default", "-o", "name"),
    ],
    ids=" ".join,
)
def test_reads_are_those_of_kubectl(kubectl: Kubectl, words: tuple[str, ...]) -> None:
    read, printed = kubectl("get", *words), kubectl.run("get", *words)
    if words[-1] == "name" or not printed:
        assert read == printed
    else:
        assert comparable(read) == comparable(printed)


def comparable(text: str) -> object:
    document = json.loads(text)
    if "items" in document:
        return {(each["kind"], each["metadata"]["name"]): each for each in document["items"]}
    return document


@pytest.mark.parametrize("words", [("cm", "nothing", *HERE, "-o", "json"), ("--raw", "/apis/nowhere")], ids=" ".join)
def test_failures_are_those_of_kubectl(kubectl: Kubectl, words: tuple[str, ...]) -> None:
    with pytest.raises(AssertionError) as read:
        kubectl("get", *words)
    with pytest.raises(AssertionError) as printed:
        kubectl.run("get", *words)
    assert "NotFound" in str(printed.value)
    assert ("NotFound" in str(read.value)) or ("404" in str(read.value))


def test_what_only_kubectl_prints_it_prints(kubectl: Kubectl) -> None:
    assert kubectl("get", "namespace", "default").startswith("NAME ")
    with pytest.raises(AssertionError, match="doesn't have a resource type"):
        kubectl("get", "unheard/of", "-o", "json")
