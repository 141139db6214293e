"""From no pod to many and back with the real KEDA, and a real Prometheus that is dead at first."""

import asyncio
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionUserMessageParam

from scale.load import Count, Load
from support.kube import eventually
from support.node import Node
from support.prometheus import prometheus

pytestmark = pytest.mark.timeout(1200)
NAMESPACE = "asleep"
COOLDOWN = 60
"""Least seconds that the last pod stays: what the resource asks for is less."""
HI: ChatCompletionUserMessageParam = {"role": "user", "content": "Good morning"}
STREAMS, TARGET = 15, 6
"""Streams at a time, and how many of them a pod is meant for: three pods."""
COUNT = Count("slow", 100)
READ = f'chatfleet_active_streams{{namespace="{NAMESPACE}"}}'
"""Streams of the pods that can be read, as a careless query counts them."""
HELD_SECONDS = 60
SOON = {"scaleDown": {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 15}]}}


def change(node: Node, autoscaling: dict[str, Any]) -> None:
    """Change a part of the spec."""
    patch = json.dumps({"spec": {"autoscaling": autoscaling}})
    node.kubectl("patch", "chatdeployment/sleepy", "-n", NAMESPACE, "--type=merge", "-p", patch)


def wanted(node: Node) -> int:
    count: int = node.kubectl.json("get", "deployment/sleepy", "-n", NAMESPACE)["spec"]["replicas"]
    return count


def ready(node: Node) -> int:
    count: int = node.kubectl.json("get", "chatdeployment/sleepy", "-n", NAMESPACE)["status"]["readyReplicas"]
    return count


def pods(node: Node) -> list[str]:
    found = node.kubectl.json("get", "pods", "-n", NAMESPACE, "-l", "chatfleet.io/component=api")["items"]
    return [pod["metadata"]["name"] for pod in found]


def told(node: Node) -> str:
    """Return the first answer through the Service, by the vendor's SDK."""
    sdk = OpenAI(base_url=f"{node.service('sleepy', NAMESPACE)}/v1", api_key="none", max_retries=0)
    with sdk.chat.completions.create(model="echo", messages=[HI], stream=True) as chunks:
        return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def reason(node: Node) -> str:
    conditions = node.kubectl.json("get", "chatdeployment/sleepy", "-n", NAMESPACE)["status"]["conditions"]
    found: str = next(each["reason"] for each in conditions if each["type"] == "AutoscalingActive")
    return found


@contextmanager
def streaming(node: Node) -> Iterator[Load]:
    """Keep streams open, and see in the end that none was cut or refused."""
    load = Load(node.service("sleepy", NAMESPACE), COUNT, lambda _: STREAMS)
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(asyncio.run, load.run(seconds=400))
        try:
            yield load
        finally:
            load.stop()
        running.result(60)
    assert (load.tally.cut, load.tally.refused, dict(load.tally.why)) == (0, 0, {})


def test_a_request_wakes_it_quiet_lets_it_sleep_and_a_dead_prometheus_does_nothing(
    sleepy: Node, tmp_path: Path
) -> None:
    change(sleepy, {"behavior": SOON})
    assert wanted(sleepy) == 0
    assert told(sleepy) == HI["content"]
    assert wanted(sleepy) == 1

    time.sleep(COOLDOWN + 15)
    assert wanted(sleepy) == 1
    eventually(lambda: reason(sleepy) == "MetricsUnavailable")

    with prometheus(sleepy, tmp_path):
        eventually(lambda: wanted(sleepy) == 0, seconds=COOLDOWN + 30)
        eventually(lambda: reason(sleepy) == "Asleep")
        eventually(lambda: not pods(sleepy), seconds=60)  # one that is ending still answers
        assert told(sleepy) == HI["content"]
        assert wanted(sleepy) == 1


def test_pods_follow_the_streams_and_one_that_cannot_be_read_counts_with_its_last_word(
    sleepy: Node, tmp_path: Path
) -> None:
    target = {"type": "ActiveStreams", "averageValue": str(TARGET)}
    change(sleepy, {"maxReplicas": 3, "metrics": [target], "behavior": SOON})
    with prometheus(sleepy, tmp_path) as server:
        with streaming(sleepy):
            eventually(lambda: ready(sleepy) == 3, seconds=120)
            eventually(lambda: sum(server.ask(READ).values()) == STREAMS)
            by_pod = server.ask(READ)
            server.unreadable.add(max(by_pod, key=lambda pod: by_pod[pod]))
            eventually(lambda: sum(server.ask(READ).values()) <= 2 * TARGET)  # by this two pods were enough
            deadline = time.monotonic() + HELD_SECONDS
            while time.monotonic() < deadline:
                assert wanted(sleepy) == 3
                time.sleep(1)
            server.unreadable.clear()
        eventually(lambda: wanted(sleepy) == 0, seconds=COOLDOWN + 90)
