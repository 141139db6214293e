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
from harness.kube.operator_world import pod_report
from harness.polling import eventually, remains

DEPLOYMENT = "deployment/support"
SYNC = 5
"""Seconds between two looks of the HorizontalPodAutoscaler here."""

addresses = (f"127.{192 + os.getpid() % 60}.{os.getpid() // 60 % 255}.{number}" for number in count(1))
numbers = count(1)

pytestmark = pytest.mark.timeout(240)


class Teller(ThreadingHTTPServer):
    """What a pod with so many streams tells on its health port."""

    daemon_threads = True

    def __init__(self, pod: str, streams: int) -> None:
        super().__init__((next(addresses), names.PORT_HEALTH), _Telling)
        self.pod = pod
        self.streams = streams


class _Telling(BaseHTTPRequestHandler):
    server: Teller

    def do_GET(self) -> None:
        body = json.dumps(pod_report(self.server.pod, "", active_streams=self.server.streams).document()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: object) -> None:  # the name is the standard library's
        """Say nothing."""


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """Start an API server of its own, all controllers, and the operator."""
    with operated(tmp_path_factory.mktemp("controllers"), {"RESYNC_SECONDS": "2"}) as kubectl:
        yield kubectl


@pytest.fixture
def shop(kubernetes: Kubectl) -> LiveChatDeployment:
    name = f"shop-{next(numbers)}"
    kubernetes("create", "namespace", name)
    return LiveChatDeployment(kubernetes, name)


def scaling(shop: LiveChatDeployment, **bounds: int) -> None:
    shop.apply(autoscaling={"minReplicas": 2, "maxReplicas": 9, **bounds})


def replicas(shop: LiveChatDeployment) -> int:
    wanted: int = shop.get(DEPLOYMENT)["spec"]["replicas"]
    return wanted


def scale(shop: LiveChatDeployment, wanted: int) -> None:
    shop.kubectl("scale", DEPLOYMENT, f"--replicas={wanted}", "-n", shop.namespace)


def pods(shop: LiveChatDeployment) -> list[str]:
    """Return the names of the pods that are to stay."""
    chosen = f"{names.LABEL_COMPONENT}={names.COMPONENT_API}"
    listed = shop.kubectl.json("get", "pods", "-n", shop.namespace, "-l", chosen)["items"]
    return [each["metadata"]["name"] for each in listed if "deletionTimestamp" not in each["metadata"]]


def test_metrics_that_are_dead_are_told_in_the_autoscalers_words_and_take_no_pod_away(shop: LiveChatDeployment) -> None:
    scaling(shop)
    eventually(lambda: len(pods(shop)) == 2)
    scale(shop, 5)
    eventually(lambda: len(pods(shop)) == 5)
    eventually(shop.has_condition("AutoscalingActive", "MetricsAPIMissing", "FailedGetPodsMetric"), seconds=60)
    remains(lambda: replicas(shop) == 5, seconds=3 * SYNC)

    assert shop.condition("AutoscalingActive")["status"] == "False"


def test_the_number_that_the_autoscaler_sets_stays_and_is_its_own(shop: LiveChatDeployment) -> None:
    scaling(shop)
    eventually(lambda: len(pods(shop)) == 2)
    scale(shop, 6)
    scaling(shop, maxReplicas=3)  # what is above the bound needs no metric
    eventually(lambda: replicas(shop) == 3)
    eventually(lambda: len(pods(shop)) == 3)
    holders = [
        entry["manager"]
        for entry in shop.get(DEPLOYMENT)["metadata"]["managedFields"]
        if "f:replicas" in entry["fieldsV1"].get("f:spec", {})
    ]

    assert holders == ["kube-controller-manager"]
    remains(lambda: replicas(shop) == 3, seconds=2 * SYNC)


def test_pods_with_the_fewest_streams_go_first(shop: LiveChatDeployment) -> None:
    """Left to itself a ReplicaSet takes the pods that became ready last: here, the busy ones."""
    scaling(shop)
    eventually(lambda: len(pods(shop)) == 2)
    scale(shop, 6)
    eventually(lambda: len(pods(shop)) == 6)
    streams = dict(zip(pods(shop), (0, 40, 0, 9, 0, 120), strict=True))
    busy = {name for name, some in streams.items() if some}
    with ExitStack() as stack:
        for name, some in streams.items():
            server = stack.enter_context(Teller(name, some))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
            run(shop, name, server.server_address[0], ready_for=timedelta(minutes=1 if some else 600))
        eventually(lambda: costs(shop).keys() == busy)
        scale(shop, 3)
        eventually(lambda: len(pods(shop)) == 3)

    assert set(pods(shop)) == busy
    assert costs(shop) == {name: str(streams[name]) for name in busy}


def costs(shop: LiveChatDeployment) -> dict[str, str]:
    """Return the deletion costs that pods carry."""
    listed = shop.kubectl.json("get", "pods", "-n", shop.namespace)["items"]
    told = {each["metadata"]["name"]: each["metadata"].get("annotations", {}) for each in listed}
    return {name: each[names.POD_DELETION_COST] for name, each in told.items() if names.POD_DELETION_COST in each}


def run(shop: LiveChatDeployment, name: str, address: object, *, ready_for: timedelta) -> None:
    """Say, in the kubelet's stead, that a pod runs and for how long it has been ready."""
    since = (datetime.now(UTC) - ready_for).strftime("%Y-%m-%dT%H:%M:%SZ")
    ready: Manifest = {"type": "Ready", "status": "True", "lastTransitionTime": since}
    status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": [ready]}
    patch = json.dumps({"status": status})
    shop.kubectl("patch", "pod", name, "-n", shop.namespace, "--subresource=status", "--type=merge", "-p", patch)
