"""A wait for Ready returns when chats succeed, and Available stays True while pods come and go."""

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from openai import OpenAI

from harness.kube.node import Node
from harness.polling import eventually

pytestmark = pytest.mark.timeout(400)
SPACE = "steady"
RESOURCE = "chatdeployment/steady"
CHATS = 20
SAY = "We ship on Fridays"
MANIFEST = f"""
apiVersion: v1
kind: Namespace
metadata: {{name: {SPACE}}}
---
apiVersion: chatfleet.io/v1beta1
kind: ChatDeployment
metadata: {{name: steady, namespace: {SPACE}}}
spec:
  replicas: 1
  access: {{anonymous: true}}
  providers: [{{name: script, type: scripted}}]
  models: [{{name: echo, provider: script, model: echo}}]
  redis: {{managed: {{storage: 64Mi}}}}
  streaming: {{drainSeconds: 2, maxStreamSeconds: 60}}
"""
AVAILABLE = 'jsonpath={.status.conditions[?(@.type=="Available")].status}{"\\n"}'


@pytest.fixture(scope="module")
def steady(installed: Node) -> Iterator[Node]:
    """Apply a ChatDeployment of its own; it need not be Ready."""
    installed.kubectl.apply(MANIFEST)
    yield installed
    # Else the namespace's controller waits for half of the time that its pods may take: that of the longest stream.
    installed.kubectl("delete", RESOURCE, "-n", SPACE, "--timeout=30s")
    installed.kubectl("delete", "namespace", SPACE, "--wait=false")


def answers(node: Node) -> list[str]:
    """Return what as many clients get that come at the same time, each with a connection of its own."""
    url = f"{node.service('steady', SPACE)}/v1"

    def answer(_: int) -> str:
        with OpenAI(base_url=url, api_key="none", max_retries=0, timeout=30) as sdk:
            chat = sdk.chat.completions.create(model="echo", messages=[{"role": "user", "content": SAY}])
        return (chat.choices[0].message.content or "").strip()

    with ThreadPoolExecutor(CHATS) as clients:
        return list(clients.map(answer, range(CHATS)))


def change(node: Node, **spec: object) -> None:
    """Change the spec, and wait for Ready at once: with nothing in between, as a script does."""
    node.kubectl("patch", RESOURCE, "-n", SPACE, "--type=merge", "-p", json.dumps({"spec": spec}))
    node.kubectl.wait(RESOURCE, "Ready", namespace=SPACE)


@contextmanager
def watching(node: Node, log: Path) -> Iterator[None]:
    """Write each status of Available, as the API server sends it, to a file."""
    kubectl = (str(node.kubectl.binary), "--kubeconfig", str(node.kubectl.kubeconfig))
    with log.open("wb") as output:
        command = [*kubectl, "get", RESOURCE, "-n", SPACE, "--watch", "-o", AVAILABLE]
        with subprocess.Popen(command, stdout=output) as watch:
            try:
                eventually(log.read_text)
                yield
            finally:
                watch.terminate()


def test_a_wait_for_the_first_ready_returns_when_twenty_of_twenty_chats_succeed(steady: Node) -> None:
    steady.kubectl.wait(RESOURCE, "Ready", namespace=SPACE)
    assert answers(steady) == [SAY] * CHATS


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"replicas": 3}, id="scale-up"),
        pytest.param({"template": {"env": [{"name": "RELEASE", "value": "2"}]}}, id="rolling update"),
        pytest.param({"replicas": 1}, id="scale-down"),
    ],
)
def test_clients_are_served_through_a_change_and_after_the_wait_for_it(
    steady: Node, spec: dict[str, object], tmp_path: Path
) -> None:
    with watching(steady, log := tmp_path / "available"):
        change(steady, **spec)
        assert answers(steady) == [SAY] * CHATS
    statuses = log.read_text().split()
    assert len(statuses) > 1
    assert set(statuses) == {"True"}
