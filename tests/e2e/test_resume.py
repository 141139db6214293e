"""An answer outlives the kill of the pod that writes it, as the example's client in a terminal sees it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from harness.kube.node import ROOT, Node, process_of
from harness.polling import eventually

pytestmark = pytest.mark.timeout(300)
EXAMPLE = ROOT / "examples/06-resume"
SPACE = "default"


@pytest.fixture(scope="module")
def tale(installed: Node) -> Iterator[Node]:
    """Apply the example and wait until it says Ready."""
    installed.kubectl("apply", "-n", SPACE, "-f", str(EXAMPLE / "chatdeployment.yaml"))
    installed.kubectl.wait("chatdeployment/tale", "Ready", namespace=SPACE)
    yield installed
    installed.kubectl("delete", "chatdeployment", "tale", "-n", SPACE, "--timeout=30s")


def writing(node: Node) -> list[str]:
    """Return the pods that say they have a stream."""
    ours = ["get", "pods", "-n", SPACE, "-l", "chatfleet.io/deployment=tale,chatfleet.io/component=api"]
    pods = [pod["metadata"]["name"] for pod in node.kubectl.json(*ours)["items"]]
    reports = {pod: f"/api/v1/namespaces/{SPACE}/pods/{pod}:8001/proxy/health" for pod in pods}
    return [pod for pod, path in reports.items() if json.loads(node.kubectl("get", "--raw", path))["activeStreams"]]


def ask_and_kill(node: Node) -> tuple[int, str, str]:
    """Ask for the story, kill its pod in the middle; return the client's exit status, what it read and what it told."""
    command = [sys.executable, str(EXAMPLE / "client.py"), node.service("tale", SPACE), "Tell me a story."]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as client:
        assert client.stdout
        assert client.stderr
        begun = client.stdout.read(40)
        (pod,) = writing(node)
        os.kill(process_of(pod), signal.SIGKILL)
        said, told = begun + client.stdout.read(), client.stderr.read()
    return client.returncode, said, told


def test_a_client_gets_every_word_once_when_the_pod_that_writes_is_killed(tale: Node) -> None:
    status, said, told = ask_and_kill(tale)

    assert status == 0, told
    assert "the stream broke off after event" in told
    assert said.startswith("A ship's radio operator kept a notebook")
    assert said.endswith("what a good night's work looks like.")
    assert len(said.split()) == 119


def test_a_model_that_cannot_go_on_ends_the_answer_as_interrupted(tale: Node) -> None:
    patch = json.dumps([{"op": "replace", "path": "/spec/models/0/continuation", "value": "none"}])
    tale.kubectl("patch", "chatdeployment/tale", "-n", SPACE, "--type=json", "-p", patch)
    tale.kubectl.wait("chatdeployment/tale", "Ready", namespace=SPACE)

    status, said, told = ask_and_kill(tale)

    assert status == 1
    assert said.startswith("A ship's radio operator")
    assert '"code":"interrupted"' in told
    assert '"partial_saved":true' in told
    eventually(lambda: not writing(tale))
