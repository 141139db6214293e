"""What is applied again changes nothing and reads so, whichever client applies it: kubectl, GitOps tools, both.

Each call of kubectl is about all documents: it takes as much CPU for many as for one.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.kube.full_chatdeployment import full_chatdeployment, with_own_redis
from harness.kube.kubectl import Kubectl

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*/chatdeployment.yaml"))
FULL = {name: part for name, part in full_chatdeployment().items() if name != "status"}
MINIMAL = yaml.safe_load((Path(__file__).parent / "fixtures" / "minimal.yaml").read_text())

Document = dict[str, Any]

TEXTS = {
    **{f"example-{path.parent.name}": yaml.safe_load(path.read_text()) for path in EXAMPLES},
    "minimal": MINIMAL,
    "full": FULL,
    "own-redis": with_own_redis(FULL),
}
DOCUMENTS = [
    {**document, "metadata": {**document["metadata"], "name": name, "namespace": "default"}}
    for name, document in TEXTS.items()
]

SERVER_SIDE = ("apply", "--server-side")
GITOPS = (*SERVER_SIDE, "--field-manager=gitops")


@pytest.fixture
def kubectl(kubectl: Kubectl) -> Iterator[Kubectl]:
    """Delete the documents after each test."""
    yield kubectl
    kubectl("delete", "chatdeployments", *TEXTS, "-n", "default", "--ignore-not-found")


def apply(kubectl: Kubectl, *verb: str, documents: list[Document] = DOCUMENTS) -> dict[str, str]:
    """Return the last word that kubectl prints about each document."""
    lines = [line.split() for line in kubectl(*verb, "-f", "-", stdin=yaml.safe_dump_all(documents)).splitlines()]
    return {words[0].rpartition("/")[2]: words[-1] for words in lines}


def every(word: str) -> dict[str, str]:
    return dict.fromkeys(TEXTS, word)


def diff(kubectl: Kubectl, *options: str) -> str:
    return kubectl("diff", *options, "-f", "-", stdin=yaml.safe_dump_all(DOCUMENTS))


def observe(kubectl: Kubectl) -> None:
    """Write a status, as the operator does at once: until then, a further apply stores the default of the status."""
    patch = '{"status": {"observedGeneration": 1}}'
    where = ("-n", "default", "--subresource=status", "--type=merge", "-p", patch)
    kubectl("patch", "chatdeployments", *TEXTS, *where)


def live(kubectl: Kubectl) -> dict[str, Document]:
    items = kubectl.json("get", "chatdeployments", "-n", "default")["items"]
    found = {each["metadata"]["name"]: each for each in items if each["metadata"]["name"] in TEXTS}
    assert found.keys() == TEXTS.keys()
    return found


def versions(kubectl: Kubectl) -> dict[str, str]:
    return {name: each["metadata"]["resourceVersion"] for name, each in live(kubectl).items()}


def specs(kubectl: Kubectl) -> dict[str, Document]:
    return {name: each["spec"] for name, each in live(kubectl).items()}


def test_a_client_that_applies_again_finds_nothing_changed(kubectl: Kubectl) -> None:
    assert apply(kubectl, "apply") == every("created")
    assert apply(kubectl, "apply") == every("unchanged")
    assert diff(kubectl) == ""


def test_a_server_side_apply_again_writes_nothing(kubectl: Kubectl) -> None:
    apply(kubectl, *SERVER_SIDE)
    observe(kubectl)
    before = versions(kubectl)
    apply(kubectl, *SERVER_SIDE)
    assert versions(kubectl) == before
    assert diff(kubectl, "--server-side") == ""


def test_a_move_from_client_side_to_server_side_apply_keeps_the_spec(kubectl: Kubectl) -> None:
    apply(kubectl, "apply")
    before = specs(kubectl)
    assert apply(kubectl, *SERVER_SIDE) == every("serverside-applied")
    assert specs(kubectl) == before
    assert apply(kubectl, *SERVER_SIDE) == every("serverside-applied")
    assert specs(kubectl) == before


def test_a_second_manager_that_adds_a_model_is_left_alone(kubectl: Kubectl) -> None:
    """The team's file and a platform's, each with its own field manager, applied in turn."""
    spare = {
        "providers": [{"name": "spare", "type": "scripted"}],
        "models": [{"name": "spare", "provider": "spare", "model": "echo"}],
    }
    added = [
        {
            **{key: document[key] for key in ("apiVersion", "kind")},
            "metadata": {key: document["metadata"][key] for key in ("name", "namespace")},
            "spec": spare,
        }
        for document in DOCUMENTS
    ]
    platform = (*SERVER_SIDE, "--field-manager=platform")
    apply(kubectl, *GITOPS)
    apply(kubectl, *platform, documents=added)
    before = versions(kubectl)
    apply(kubectl, *GITOPS)
    apply(kubectl, *platform, documents=added)
    assert versions(kubectl) == before
    without = {name for name, spec in specs(kubectl).items() if "spare" not in {it["name"] for it in spec["models"]}}
    assert not without
