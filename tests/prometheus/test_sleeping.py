"""From no pod to many and back with the real KEDA, and a real Prometheus that is dead at first."""

import json
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionUserMessageParam

from chatfleet_contract.spec.autoscaling import MetricType
from chatfleet_operator.children.scaled_object import query
from chatfleet_operator.model.values import Ref
from harness.kube.prometheus import prometheus
from harness.kube.scaled import Scaled
from harness.polling import eventually

pytestmark = pytest.mark.timeout(1200)
COOLDOWN = 60
"""Least seconds that the last pod stays: what the resource asks for is less."""
HI: ChatCompletionUserMessageParam = {"role": "user", "content": "Good morning"}
STREAMS, TARGET = 15, 6
"""Streams at a time, and how many of them a pod is meant for: three pods."""
COUNTED = query(Ref("asleep", "sleepy"), MetricType.ACTIVE_STREAMS)
"""As KEDA asks."""
READ = 'chatfleet_active_streams{namespace="asleep"}'
"""Streams of the pods that can be read, as a careless query counts them."""
HELD_SECONDS = 60
SOON = {"scaleDown": {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 15}]}}


def change(sleepy: Scaled, autoscaling: dict[str, Any]) -> None:
    """Change a part of the spec."""
    patch = json.dumps({"spec": {"autoscaling": autoscaling}})
    sleepy.node.kubectl("patch", "chatdeployment/sleepy", "-n", sleepy.namespace, "--type=merge", "-p", patch)


def pods(sleepy: Scaled) -> list[str]:
    """Return the names of the pods."""
    listed = ("get", "pods", "-n", sleepy.namespace, "-l", "chatfleet.io/component=api")
    return [pod["metadata"]["name"] for pod in sleepy.node.kubectl.json(*listed)["items"]]


def told(sleepy: Scaled) -> str:
    """Return the first answer through the Service, by the vendor's SDK."""
    url = sleepy.node.service(sleepy.name, sleepy.namespace)
    sdk = OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
    with sdk.chat.completions.create(model="echo", messages=[HI], stream=True) as chunks:
        return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def test_a_request_wakes_it_quiet_lets_it_sleep_and_a_dead_prometheus_does_nothing(
    sleepy: Scaled, tmp_path: Path
) -> None:
    change(sleepy, {"behavior": SOON})
    assert sleepy.wanted == 0
    assert told(sleepy) == HI["content"]
    sleepy.stays(1, seconds=COOLDOWN + 15)
    eventually(lambda: sleepy.reason == "MetricsUnavailable")

    with prometheus(sleepy.node, tmp_path):
        eventually(lambda: sleepy.wanted == 0, seconds=COOLDOWN + 30)
        eventually(lambda: sleepy.reason == "ScaledToZero")
        eventually(lambda: not pods(sleepy), seconds=60)  # one that is ending still answers
        assert told(sleepy) == HI["content"]
        assert sleepy.wanted == 1


def test_pods_follow_the_streams_and_one_that_cannot_be_read_counts_with_its_last_word(
    sleepy: Scaled, tmp_path: Path
) -> None:
    target = {"type": "ActiveStreams", "averageValue": str(TARGET)}
    change(sleepy, {"maxReplicas": 3, "metrics": [target], "behavior": SOON})
    with prometheus(sleepy.node, tmp_path) as server:
        with sleepy.streaming(STREAMS):
            eventually(lambda: sleepy.ready == 3, seconds=120)
            eventually(lambda: sum(server.ask(READ).values()) == STREAMS)
            by_pod = server.ask(READ)
            server.unreadable.add(max(by_pod, key=lambda pod: by_pod[pod]))
            eventually(lambda: sum(server.ask(READ).values()) <= 2 * TARGET)  # by this two pods were enough
            assert server.ask(COUNTED)[""] > 2 * TARGET
            sleepy.stays(3, seconds=HELD_SECONDS)
            server.unreadable.clear()
        eventually(lambda: sleepy.wanted == 0, seconds=COOLDOWN + 90)
