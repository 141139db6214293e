"""The metrics API server behind a real API server's aggregation layer, beside the real controllers."""

import asyncio
import json
import os
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from rich.console import Console
from urllib3 import BaseHTTPResponse, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from chatfleet_cluster import controlplane
from chatfleet_cluster.progress import Progress
from chatfleet_contract import metrics, names
from chatfleet_metrics.apiserver import certificates
from chatfleet_metrics.apiserver.certificates import Certificates, issue
from harness.kube.figures import Figures, create, exporting, pod, run
from harness.kube.kubectl import Kubectl
from harness.kube.metrics_apiserver_process import (
    HOST,
    METRICS,
    NAME,
    SERVICES,
    MetricsAPIServerProcess,
    install,
    metrics_apiserver,
    own_address,
)
from harness.kube.operator_process import NAMESPACE
from harness.polling import eventually, remains

pytestmark = pytest.mark.timeout(180)


ALL = f"{METRICS}/namespaces/default/pods/*/{metrics.ACTIVE_STREAMS}"


def by_name(document: Any) -> dict[str, str]:  # noqa: ANN401  # a document of the API
    return {item["describedObject"]["name"]: item["value"] for item in document["items"]}


@dataclass
class MetricsCluster:
    kubectl: Kubectl
    kubeconfig: Path
    servers: list[MetricsAPIServerProcess]
    pki: Path

    def figures(self, namespace: str, metric: str = metrics.ACTIVE_STREAMS, selector: str = "") -> dict[str, str]:
        """Return what the API serves of a namespace's pods: value by name."""
        path = f"{METRICS}/namespaces/{namespace}/pods/%2A/{metric}?labelSelector={selector}"
        return by_name(json.loads(self.kubectl("get", "--raw", path)))

    def held(self) -> Certificates:
        """Return what the Secret holds."""
        held = certificates.load(self.kubectl.json("get", "secret", NAME, "-n", NAMESPACE)["data"])
        assert held
        return held

    def hold(self, held: Certificates) -> None:
        """Replace what the Secret holds."""
        patch = json.dumps({"data": certificates.dump(held)})
        self.kubectl("patch", "secret", NAME, "-n", NAMESPACE, "--type=merge", "-p", patch)

    def context(self, client: str = "") -> ssl.SSLContext:
        """Return how to call a replica as the API server does; `client` names a certificate of the control plane."""
        context = ssl.create_default_context(cadata=self.held().bundle().decode())
        if client:
            context.load_cert_chain(self.pki / f"{client}.crt", self.pki / f"{client}.key")
        return context

    def request(self, path: str, headers: Mapping[str, str], client: str = "", server: int = 0) -> tuple[int, Any]:
        """Send a request to a replica itself, past the API server; returns the status and the document."""
        answer = get(self.servers[server].api_port, path, self.context(client), headers)
        return answer.status, answer.json()

    def served_by_each(self, namespace: str) -> list[dict[str, str]]:
        """Return what each replica serves of a namespace's pods: value by name."""
        path = ALL.replace("default", namespace)
        answers = [self.request(path, {}, "admin", each) for each, _ in enumerate(self.servers)]
        return [by_name(document) for _, document in answers]

    def available(self) -> bool:
        live = self.kubectl.json("get", "apiservice", "-l", f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY}")["items"]
        told = [condition for each in live for condition in each.get("status", {}).get("conditions", [])]
        return [each["status"] for each in told if each["type"] == "Available"] == ["True", "True"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MetricsCluster]:
    """Start an API server of its own with all controllers, and two replicas."""
    folder, progress = tmp_path_factory.mktemp("metrics-apiserver"), Progress(Console(stderr=True))
    with ExitStack() as stack:
        plane = stack.enter_context(controlplane.running(os.environ, progress))
        stack.enter_context(controlplane.controlled(plane, os.environ, progress))
        kubectl = Kubectl(plane.kubectl, plane.kubeconfig)
        kubeconfig = install(kubectl, folder)
        servers = [
            stack.enter_context(metrics_apiserver(kubectl, kubeconfig, folder / f"{name}.log", {})) for name in "ab"
        ]
        cluster = MetricsCluster(kubectl, kubeconfig, servers, plane.folder / "pki")
        eventually(cluster.available)
        yield cluster


def test_the_figures_of_a_namespaces_pods_are_read_through_the_api_server(cluster: MetricsCluster) -> None:
    cluster.kubectl.create_namespace("figures")
    with exporting(chatfleet_active_streams=37) as busy, exporting(chatfleet_active_streams=0) as idle:
        create(cluster.kubectl, pod("figures", "busy", "support"), busy.address)
        create(cluster.kubectl, pod("figures", "idle", "other"), idle.address)
        eventually(lambda: cluster.served_by_each("figures") == [{"busy": "37", "idle": "0"}] * 2)
        assert cluster.figures("figures") == {"busy": "37", "idle": "0"}
        assert cluster.figures("figures", selector="chatfleet.io/deployment%3Dsupport") == {"busy": "37"}
        assert cluster.figures("figures", metrics.QUEUED_REQUESTS) == {}


def test_both_versions_are_served_and_discovered(cluster: MetricsCluster) -> None:
    for version in names.METRICS_VERSIONS:
        document = json.loads(cluster.kubectl("get", "--raw", f"/apis/{names.METRICS_GROUP}/{version}"))
        assert {each["name"] for each in document["resources"]} == {
            f"pods/{metric}" for metric in (metrics.ACTIVE_STREAMS, metrics.TOKENS_PER_SECOND, metrics.QUEUED_REQUESTS)
        }
    group = json.loads(cluster.kubectl("get", "--raw", f"/apis/{names.METRICS_GROUP}"))
    assert group["preferredVersion"]["version"] == "v1beta2"


def test_a_pod_that_falls_silent_or_leaves_has_no_figure(cluster: MetricsCluster) -> None:
    cluster.kubectl.create_namespace("silence")
    with exporting(chatfleet_active_streams=1) as stays, exporting(chatfleet_active_streams=2) as leaves:
        with exporting(chatfleet_active_streams=3) as silent:
            for name, figures in {"stays": stays, "leaves": leaves, "silent": silent}.items():
                create(cluster.kubectl, pod("silence", name, "support"), figures.address)
            eventually(lambda: cluster.served_by_each("silence") == [{"stays": "1", "leaves": "2", "silent": "3"}] * 2)
        cluster.kubectl("delete", "pod", "leaves", "-n", "silence", "--wait=false")
        eventually(lambda: cluster.served_by_each("silence") == [{"stays": "1"}] * 2)


ROOT = {"X-Remote-User": "root", "X-Remote-Group": "system:masters"}
AUTOSCALER = {"X-Remote-User": "system:serviceaccount:kube-system:horizontal-pod-autoscaler"}


@pytest.mark.parametrize(
    ("client", "headers", "status", "words"),
    [
        pytest.param("", {}, 401, "", id="nobody"),
        pytest.param("", ROOT, 401, "", id="forged headers without a certificate"),
        pytest.param("", {"Authorization": "Bearer nonsense"}, 401, "", id="a bad token"),
        pytest.param("front-proxy", {}, 401, "", id="the proxy for nobody"),
        pytest.param("front-proxy", AUTOSCALER, 200, "", id="the proxy for the autoscaler"),
        pytest.param("front-proxy", {"X-Remote-User": "ann"}, 403, '"ann"', id="the proxy for somebody without rights"),
        pytest.param("admin", {}, 200, "", id="a certificate of the cluster"),
        pytest.param(
            *("kube-controller-manager", ROOT, 403, '"system:kube-controller-manager"'),
            id="forged headers with a certificate of the cluster",
        ),
    ],
)
def test_users_are_authenticated_by_certificate(
    cluster: MetricsCluster, client: str, headers: Mapping[str, str], status: int, words: str
) -> None:
    answered, document = cluster.request(ALL, headers, client)
    assert answered == status
    assert words in document.get("message", "")


def test_users_are_authenticated_by_token_and_authorized_by_the_api_server(cluster: MetricsCluster) -> None:
    for name in ("may", "may-not"):
        cluster.kubectl("create", "serviceaccount", name)
    cluster.kubectl(
        "create", "clusterrolebinding", "may", f"--clusterrole={NAME}-reader", "--serviceaccount=default:may"
    )
    for name, status in {"may": 200, "may-not": 403}.items():
        token = cluster.kubectl("create", "token", name).strip()
        assert cluster.request(ALL, {"Authorization": f"Bearer {token}"})[0] == status


def test_a_head_without_end_is_refused_and_not_held(cluster: MetricsCluster) -> None:
    server, piece = cluster.servers[0], b"x-a: %b\r\n" % (b"b" * 1000) * 64
    before, sent = server.program.resident_bytes, 0
    with (
        socket.create_connection((own_address(), server.api_port), timeout=20) as plain,
        cluster.context().wrap_socket(plain, server_hostname=HOST) as client,
    ):
        client.sendall(b"GET /apis HTTP/1.1\r\nHost: a\r\n")
        with suppress(ConnectionError, ssl.SSLError):
            for _ in range(1000):
                client.sendall(piece)
                sent += len(piece)
    assert server.program.resident_bytes - before < 8_000_000
    assert sent < 64_000_000


async def test_a_renewal_of_the_certificate_fails_no_request(cluster: MetricsCluster) -> None:
    before = cluster.held()
    context, calls, failures = cluster.context("admin"), 0, list[str]()

    async def load(port: int) -> None:
        """Send each request over a connection of its own."""
        nonlocal calls
        while True:
            try:
                assert (await asyncio.to_thread(get, port, ALL, context)).status == 200
                calls += 1
            except (HTTPError, AssertionError) as failed:
                failures.append(repr(failed))

    async def through() -> None:
        nonlocal calls
        while True:
            try:
                await asyncio.to_thread(cluster.figures, "default")
                calls += 1
            except AssertionError as failed:
                failures.append(repr(failed))

    loads = [asyncio.create_task(load(each.api_port)) for each in cluster.servers] + [asyncio.create_task(through())]
    aged = issue(before.authorities[-1], HOST, datetime.now(UTC) - timedelta(days=61))
    cluster.hold(replace(before, serving=aged))
    await asyncio.to_thread(eventually, lambda: cluster.held().serving.issued_at > aged.issued_at, seconds=40)
    await asyncio.to_thread(eventually, lambda: all(serial(each) == newest(cluster) for each in cluster.servers))
    for each in loads:
        each.cancel()
    await asyncio.wait(loads)
    assert failures == []
    assert calls > 100
    assert cluster.held().authorities[0].certificate == before.authorities[0].certificate


def get(port: int, path: str, context: ssl.SSLContext, headers: Mapping[str, str] | None = None) -> BaseHTTPResponse:
    """Send a request over a connection of its own."""
    with HTTPSConnectionPool(
        "127.0.0.1", port, ssl_context=context, server_hostname=HOST, assert_hostname=HOST, retries=False, timeout=30
    ) as replica:
        return replica.request("GET", path, headers=headers)


def newest(cluster: MetricsCluster) -> int:
    return cluster.held().serving.certificate.serial_number


def serial(server: MetricsAPIServerProcess) -> int:
    """Return the number of the certificate that a replica serves with."""
    pem = ssl.get_server_certificate(("127.0.0.1", server.api_port))
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: support, namespace: scale}
spec:
  replicas: 2
  selector: {matchLabels: {chatfleet.io/deployment: support, chatfleet.io/component: api}}
  template:
    metadata: {labels: {chatfleet.io/deployment: support, chatfleet.io/component: api}}
    spec: {containers: [{name: api, image: none}]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: support, namespace: scale}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: support}
  minReplicas: 1
  maxReplicas: 4
  metrics:
    - type: Pods
      pods: {metric: {name: chatfleet_active_streams}, target: {type: AverageValue, averageValue: "50"}}
  behavior: {scaleDown: {stabilizationWindowSeconds: 0}}
"""


def test_the_real_autoscaler_scales_up_never_down_without_figures_and_down_with_them(cluster: MetricsCluster) -> None:
    kubectl = cluster.kubectl
    kubectl.create_namespace("scale")
    kubectl.apply(DEPLOYMENT)
    with ExitStack() as alive:
        served = serve_all(cluster, alive, 2, streams=100)
        eventually(lambda: replicas(kubectl) == 4, seconds=60)
        assert condition(kubectl) == ("True", "ValidMetricFound")
        served |= serve_all(cluster, alive, 4, streams=10, known=served)
    eventually(lambda: condition(kubectl) == ("False", "FailedGetPodsMetric"), seconds=60)
    remains(lambda: replicas(kubectl) == 4, seconds=12)  # more than two looks of the autoscaler
    with ExitStack() as alive:
        served = serve_all(cluster, alive, 4, streams=100)  # no pod ends before all of them have figures
        for figures in served.values():
            figures.samples["chatfleet_active_streams"] = 10
        eventually(lambda: replicas(kubectl) == 1, seconds=60)


def serve_all(
    cluster: MetricsCluster, alive: ExitStack, pods: int, *, streams: float, known: Mapping[str, Figures] | None = None
) -> dict[str, Figures]:
    """Let each of the Deployment's pods, once there are so many, run and tell its figures."""
    told = dict(known or {})
    listed = ("get", "pods", "-n", "scale", "-l", "chatfleet.io/deployment=support")
    eventually(lambda: len(cluster.kubectl.json(*listed)["items"]) == pods)
    for each in cluster.kubectl.json(*listed)["items"]:
        name = each["metadata"]["name"]
        if name not in told:
            told[name] = alive.enter_context(exporting(chatfleet_active_streams=streams))
            run(cluster.kubectl, "scale", name, told[name].address)
    return told


def replicas(kubectl: Kubectl) -> int:
    return int(kubectl.json("get", "deployment/support", "-n", "scale")["spec"]["replicas"])


def condition(kubectl: Kubectl) -> tuple[str, str] | None:
    """Return the condition of the autoscaler about its figures."""
    status = kubectl.json("get", "hpa/support", "-n", "scale").get("status", {})
    told = {each["type"]: (each["status"], each["reason"]) for each in status.get("conditions") or ()}
    return told.get("ScalingActive")


def test_a_foreign_server_is_never_taken_over(cluster: MetricsCluster) -> None:
    ours, taken = SERVICES
    foreign = cluster.kubectl.json("get", "apiservice", taken)
    foreign["metadata"] = {"name": taken, "labels": {"app.kubernetes.io/name": "prometheus-adapter"}}
    foreign["spec"]["service"] = {"namespace": "monitoring", "name": "prometheus-adapter", "port": 443}
    foreign.pop("status")
    cluster.kubectl("replace", "-f", "-", stdin=yaml.safe_dump(foreign))

    eventually(lambda: not cluster.kubectl("get", "apiservice", ours, "--ignore-not-found"), seconds=40)
    eventually(
        lambda: all(
            each.metric(metrics.METRICS_APISERVER_REGISTERED, version="v1beta1") == -1 for each in cluster.servers
        )
    )
    assert cluster.kubectl.json("get", "apiservice", taken)["spec"]["service"]["name"] == "prometheus-adapter"
    assert "is not taken over" in cluster.servers[0].log.read_text()

    cluster.kubectl("delete", "apiservice", taken)
    eventually(cluster.available, seconds=60)


def test_after_sigterm_it_serves_until_the_api_server_sends_no_more_requests(
    cluster: MetricsCluster, tmp_path: Path
) -> None:
    with metrics_apiserver(cluster.kubectl, cluster.kubeconfig, tmp_path / "c.log", {}) as third:
        leaving = replace(cluster, servers=[third])
        third.program.terminate()
        deadline = time.monotonic() + 4
        while time.monotonic() < deadline:
            assert leaving.request(ALL, {}, "admin")[0] == 200
        assert third.program.exit_status(20) == 0


def test_at_rest_the_replicas_write_nothing(cluster: MetricsCluster) -> None:
    def kept() -> float:
        written = ("APIService", "Secret")
        return sum(
            each.metric(metrics.METRICS_APISERVER_API_WRITES_TOTAL, kind=kind)
            for each in cluster.servers
            for kind in written
        )

    before = kept()
    remains(lambda: kept() == before, seconds=20)  # more than one look


def test_uninstalled_it_holds_up_no_namespace(cluster: MetricsCluster) -> None:
    kubectl = cluster.kubectl
    kubectl.create_namespace("leaves")
    for each in cluster.servers:
        each.stop()
    eventually(lambda: not cluster.available(), seconds=60)
    kubectl("delete", "namespace", "leaves", "--wait=false")
    eventually(lambda: "DiscoveryFailed" in kubectl("get", "namespace", "leaves", "-o", "yaml"))  # why all this is done

    kubectl("delete", "clusterrole", NAME)
    eventually(lambda: not kubectl("get", "apiservice", *SERVICES, "--ignore-not-found"), seconds=60)
    eventually(lambda: not kubectl("get", "namespace", "leaves", "--ignore-not-found"), seconds=60)
