"""What is applied again changes nothing and reads so, whichever client applies it: kubectl, GitOps tools, both."""

from collections.abc import Iterator
from contextlib import contextmanager
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

DOCUMENTS = [
    *(pytest.param(yaml.safe_load(path.read_text()), id=path.parent.name) for path in EXAMPLES),
    pytest.param(MINIMAL, id="minimal"),
    pytest.param(FULL, id="full"),
    pytest.param(with_own_redis(FULL), id="own-redis"),
]

SERVER_SIDE = ("apply", "--server-side")
GITOPS = (*SERVER_SIDE, "--field-manager=gitops")


@contextmanager
def removed(kubectl: Kubectl, document: Document) -> Iterator[str]:
    """Yield the name of `document`, and delete the object afterwards."""
    name = f"chatdeployment/{document['metadata']['name']}"
    try:
        yield name
    finally:
        kubectl("delete", name, "-n", "default", "--ignore-not-found")


def apply(kubectl: Kubectl, document: Document, *verb: str) -> str:
    """Return the last word that kubectl prints about `document`."""
    return kubectl(*verb, "-n", "default", "-f", "-", stdin=yaml.safe_dump(document)).split()[-1]


def observe(kubectl: Kubectl, name: str) -> None:
    """Write a status, as the operator does at once: until then, a further apply stores the default of the status."""
    patch = '{"status": {"observedGeneration": 1}}'
    kubectl("patch", name, "-n", "default", "--subresource=status", "--type=merge", "-p", patch)


def version(kubectl: Kubectl, name: str) -> str:
    return str(kubectl.json("get", name, "-n", "default")["metadata"]["resourceVersion"])


def spec(kubectl: Kubectl, name: str) -> Document:
    found: Document = kubectl.json("get", name, "-n", "default")["spec"]
    return found


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_client_that_applies_again_finds_nothing_changed(kubectl: Kubectl, document: Document) -> None:
    with removed(kubectl, document):
        assert apply(kubectl, document, "apply") == "created"
        assert apply(kubectl, document, "apply") == "unchanged"
        assert kubectl("diff", "-n", "default", "-f", "-", stdin=yaml.safe_dump(document)) == ""


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_server_side_apply_again_writes_nothing(kubectl: Kubectl, document: Document) -> None:
    with removed(kubectl, document) as name:
        apply(kubectl, document, *SERVER_SIDE)
        observe(kubectl, name)
        before = version(kubectl, name)
        apply(kubectl, document, *SERVER_SIDE)
        assert version(kubectl, name) == before
        text = yaml.safe_dump(document)
        assert kubectl("diff", "--server-side", "-n", "default", "-f", "-", stdin=text) == ""


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_move_from_client_side_to_server_side_apply_keeps_the_spec(kubectl: Kubectl, document: Document) -> None:
    with removed(kubectl, document) as name:
        apply(kubectl, document, "apply")
        before = spec(kubectl, name)
        assert apply(kubectl, document, *SERVER_SIDE) == "serverside-applied"
        assert spec(kubectl, name) == before
        assert apply(kubectl, document, *SERVER_SIDE) == "serverside-applied"
        assert spec(kubectl, name) == before


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_second_manager_that_adds_a_model_is_left_alone(kubectl: Kubectl, document: Document) -> None:
    """The team's file and a platform's, each with its own field manager, applied in turn."""
    added: Document = {
        **{key: document[key] for key in ("apiVersion", "kind")},
        "metadata": {"name": document["metadata"]["name"]},
        "spec": {
            "providers": [{"name": "spare", "type": "scripted"}],
            "models": [{"name": "spare", "provider": "spare", "model": "echo"}],
        },
    }
    with removed(kubectl, document) as name:
        apply(kubectl, document, *GITOPS)
        apply(kubectl, added, *SERVER_SIDE, "--field-manager=platform")
        before = version(kubectl, name)
        apply(kubectl, document, *GITOPS)
        apply(kubectl, added, *SERVER_SIDE, "--field-manager=platform")
        assert version(kubectl, name) == before
        assert "spare" in {model["name"] for model in spec(kubectl, name)["models"]}
