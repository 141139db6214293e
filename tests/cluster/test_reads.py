"""What the tests read and apply without kubectl is what kubectl prints and applies."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

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


def test_what_is_applied_without_kubectl_is_what_kubectl_applies(kubectl: Kubectl) -> None:
    def applied(value: str, apply: Callable[[str], object]) -> dict[str, Any]:
        metadata = {"name": "applied", "namespace": "default", "labels": {"a": value}}
        apply(yaml.safe_dump({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"key": value}}))
        live = kubectl.json("get", "cm/applied", "-n", "default", "--show-managed-fields")
        for entry in live["metadata"]["managedFields"]:
            del entry["time"]
        return {**live["metadata"], "resourceVersion": None, "data": live["data"]}

    def by_kubectl(text: str) -> str:
        return kubectl.run("apply", "--server-side", "-f", "-", stdin=text)

    first = applied("1", by_kubectl)
    assert applied("1", kubectl.apply) == first
    second = applied("2", kubectl.apply)
    assert applied("2", by_kubectl) == second
    assert first["managedFields"] == second["managedFields"]
    kubectl.objects.within("default").merge("cm/applied", {"data": {"key": "theirs"}})
    for each in (kubectl.apply, by_kubectl):
        with pytest.raises(AssertionError, match=r"Apply failed with 1 conflict"):
            applied("3", each)
