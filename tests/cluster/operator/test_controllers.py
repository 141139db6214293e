"""Autoscaling with Kubernetes' own controllers: the real HorizontalPodAutoscaler, Deployment and ReplicaSet.

There is no kubelet: pods are made and taken away, and the tests say of them that they run, at addresses of loopback
where small servers tell what a pod would.
"""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

import pytest
from typing_extensions import override

from chatfleet_contract import names
from chatfleet_operator.model.values import Manifest
from harness.kube.controllers import operated
from harness.kube.kubectl import Kubectl
from harness.kube.live_chatdeployment import LiveChatDeployment
from harness.kube.operated_cluster import pod_report
from harness.polling import eventually, remains

DEPLOYMENT = "deployment/support"
SYNC = 5
"""Seconds between two looks of the HorizontalPodAutoscaler here."""

addresses = (f"127.{192 + os.getpid() % 60}.{os.getpid() // 60 % 255}.{number}" for number in count(1))
numbers = count(1)

pytestmark = pytest.mark.timeout(240)


class FakePod(ThreadingHTTPServer):
    """A pod with so many streams: its health port."""

    daemon_threads = True

    def __init__(self, pod: str, streams: int) -> None:
        super().__init__((next(addresses), names.PORT_HEALTH), _FakePodHandler)
        self.pod = pod
        self.streams = streams


class _FakePodHandler(BaseHTTPRequestHandler):
    server: FakePod

    def do_GET(self) -> None:
        body = json.dumps(pod_report(self.server.pod, "", active_streams=self.server.streams).document()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: object) -> None:  # the name is the standard library's
        """Log nothing."""


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """Start an API server of its own, all controllers, and the operator."""
    with operated(tmp_path_factory.mktemp("controllers"), {"RESYNC_SECONDS": "2"}) as kubectl:
        yield kubectl


@pytest.fixture
def chatdeployment(kubernetes: Kubectl) -> LiveChatDeployment:
    name = f"controllers-{next(numbers)}"
    kubernetes.create_namespace(name)
    return LiveChatDeployment(kubernetes, name)


def scaling(chatdeployment: LiveChatDeployment, **bounds: int) -> None:
    chatdeployment.apply(autoscaling={"minReplicas": 2, "maxReplicas": 9, **bounds})


def replicas(chatdeployment: LiveChatDeployment) -> int:
    wanted: int = chatdeployment.get(DEPLOYMENT)["spec"]["replicas"]
    return wanted


def scale(chatdeployment: LiveChatDeployment, wanted: int) -> None:
    chatdeployment.kubectl("scale", DEPLOYMENT, f"--replicas={wanted}", "-n", chatdeployment.namespace)


def pods(chatdeployment: LiveChatDeployment) -> list[str]:
    """Return the names of the pods that are to stay."""
    chosen = f"{names.LABEL_COMPONENT}={names.COMPONENT_API}"
    listed = chatdeployment.kubectl.json("get", "pods", "-n", chatdeployment.namespace, "-l", chosen)["items"]
    return [each["metadata"]["name"] for each in listed if "deletionTimestamp" not in each["metadata"]]


def test_metrics_that_are_dead_are_told_in_the_autoscalers_words_and_take_no_pod_away(
    chatdeployment: LiveChatDeployment,
) -> None:
    scaling(chatdeployment)
    eventually(lambda: len(pods(chatdeployment)) == 2)
    scale(chatdeployment, 5)
    eventually(lambda: len(pods(chatdeployment)) == 5)
    eventually(
        chatdeployment.has_condition("AutoscalingActive", "MetricsAPIMissing", "FailedGetPodsMetric"), seconds=60
    )
    remains(lambda: replicas(chatdeployment) == 5, seconds=3 * SYNC)

    assert chatdeployment.condition("AutoscalingActive")["status"] == "False"


def test_the_number_that_the_autoscaler_sets_stays_and_is_its_own(chatdeployment: LiveChatDeployment) -> None:
    scaling(chatdeployment)
    eventually(lambda: len(pods(chatdeployment)) == 2)
    scale(chatdeployment, 6)
    scaling(chatdeployment, maxReplicas=3)  # what is above the bound needs no metric
    eventually(lambda: replicas(chatdeployment) == 3)
    eventually(lambda: len(pods(chatdeployment)) == 3)
    holders = [
        entry["manager"]
        for entry in chatdeployment.get(DEPLOYMENT)["metadata"]["managedFields"]
        if "f:replicas" in entry["fieldsV1"].get("f:spec", {})
    ]

    assert holders == ["kube-controller-manager"]
    remains(lambda: replicas(chatdeployment) == 3, seconds=2 * SYNC)


def test_pods_with_the_fewest_streams_go_first(chatdeployment: LiveChatDeployment) -> None:
    """Left to itself a ReplicaSet takes the pods that became ready last: here, the busy ones."""
    scaling(chatdeployment)
    eventually(lambda: len(pods(chatdeployment)) == 2)
    scale(chatdeployment, 6)
    eventually(lambda: len(pods(chatdeployment)) == 6)
    streams = dict(zip(pods(chatdeployment), (0, 40, 0, 9, 0, 120), strict=True))
    busy = {name for name, some in streams.items() if some}
    with ExitStack() as stack:
        for name, some in streams.items():
            server = stack.enter_context(FakePod(name, some))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
            run(chatdeployment, name, server.server_address[0], ready_for=timedelta(minutes=1 if some else 600))
        eventually(lambda: costs(chatdeployment).keys() == busy)
        scale(chatdeployment, 3)
        eventually(lambda: len(pods(chatdeployment)) == 3)

    assert set(pods(chatdeployment)) == busy
    assert costs(chatdeployment) == {name: str(streams[name]) for name in busy}


def costs(chatdeployment: LiveChatDeployment) -> dict[str, str]:
    """Return the deletion costs that pods carry."""
    listed = chatdeployment.kubectl.json("get", "pods", "-n", chatdeployment.namespace)["items"]
    told = {each["metadata"]["name"]: each["metadata"].get("annotations", {}) for each in listed}
    return {name: each[names.POD_DELETION_COST] for name, each in told.items() if names.POD_DELETION_COST in each}


def run(chatdeployment: LiveChatDeployment, name: str, address: object, *, ready_for: timedelta) -> None:
    """Say, in the kubelet's stead, that a pod runs and for how long it has been ready."""
    since = (datetime.now(UTC) - ready_for).strftime("%Y-%m-%dT%H:%M:%SZ")
    ready: Manifest = {"type": "Ready", "status": "True", "lastTransitionTime": since}
    status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": [ready]}
    chatdeployment.patch_status(f"pod/{name}", status)
