"""Down to no pod and back with the real KEDA, and a real Prometheus that is dead at first."""

import json
import time
from pathlib import Path

import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionUserMessageParam

from support.keda import prometheus
from support.kube import eventually
from support.node import Node

pytestmark = pytest.mark.timeout(1200)
NAMESPACE = "asleep"
COOLDOWN = 60
"""Least seconds that the last pod stays: what the resource asks for is less."""
HI: ChatCompletionUserMessageParam = {"role": "user", "content": "Good morning"}


def wanted(node: Node) -> int:
    count: int = node.kubectl.json("get", "deployment/sleepy", "-n", NAMESPACE)["spec"]["replicas"]
    return count


def pods(node: Node) -> str:
    return node.kubectl("get", "pods", "-n", NAMESPACE, "-l", "chatfleet.io/component=api", "-o", "name")


def told(node: Node) -> str:
    """Return the first answer through the Service, by the vendor's SDK."""
    sdk = OpenAI(base_url=f"{node.service('sleepy', NAMESPACE)}/v1", api_key="none", max_retries=0)
    with sdk.chat.completions.create(model="echo", messages=[HI], stream=True) as chunks:
        return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def reason(node: Node) -> str:
    conditions = node.kubectl.json("get", "chatdeployment/sleepy", "-n", NAMESPACE)["status"]["conditions"]
    found: str = next(each["reason"] for each in conditions if each["type"] == "AutoscalingActive")
    return found


def test_a_request_wakes_it_quiet_lets_it_sleep_and_a_dead_prometheus_does_nothing(
    sleepy: Node, tmp_path: Path
) -> None:
    quick = {"spec": {"autoscaling": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}}}
    sleepy.kubectl("patch", "chatdeployment/sleepy", "-n", NAMESPACE, "--type=merge", "-p", json.dumps(quick))
    assert wanted(sleepy) == 0
    assert told(sleepy) == HI["content"]
    assert wanted(sleepy) == 1

    time.sleep(COOLDOWN + 15)
    assert wanted(sleepy) == 1
    eventually(lambda: reason(sleepy) == "MetricsUnavailable")

    address = sleepy.kubectl.json("get", "service/sleepy-pods", "-n", NAMESPACE)["spec"]["clusterIP"]
    with prometheus(sleepy, tmp_path, {f"{address}:8001": {"namespace": NAMESPACE, "pod": "sleepy-any-pod"}}):
        eventually(lambda: wanted(sleepy) == 0, seconds=COOLDOWN + 30)
        eventually(lambda: reason(sleepy) == "Asleep")
        eventually(lambda: not pods(sleepy), seconds=60)  # one that is ending still answers
        assert told(sleepy) == HI["content"]
        assert wanted(sleepy) == 1
