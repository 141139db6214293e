"""Metrics that die never shrink: each way for them to die, with the real autoscaler and both of our processes.

Each test is its own control: the load ends with the outage, and takes pods away as soon as it can be read again.
"""

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
import yaml

from chatfleet_contract import metrics, names
from chatfleet_operator.kube import METRICS_ON_DEMAND_RULES, METRICS_SCALE_RULES
from chatfleet_operator.model.values import Ref
from harness.kube.autoscaled import AUTOSCALING, BUSY, DEPLOYMENT, LOOKS, SYNC, Fleet
from harness.kube.controllers import operated
from harness.kube.figures import exporting, fails, hangs, new_address, returns_html, returns_nan, run
from harness.kube.kubectl import Kubectl
from harness.kube.live_chatdeployment import LiveChatDeployment
from harness.kube.metrics_apiserver_process import (
    METRICS,
    NAME,
    SERVICES,
    MetricsAPIServerProcess,
    install,
    metrics_apiserver,
)
from harness.kube.operated_cluster import document
from harness.kube.operator_process import NAMESPACE, grant, role
from harness.pods.api_process import api_process, fetch, scripted
from harness.polling import eventually, remains
from harness.redis.server import redis_server

ROOT = Path(__file__).parents[3]
HOUR = timedelta(hours=1)
FAULTS = (hangs, fails, returns_nan, returns_html)
SIZES = {"unreadable": len(FAULTS), "killed": 2, "stopped": 2, "skewed": 2}
"""Fleets, each for one test, by their number of pods."""
WITHOUT_REDIS = "without-redis"

pytestmark = pytest.mark.timeout(180)


@dataclass
class MetricsCluster:
    """An API server of its own, all controllers, and the operator as it is by default."""

    kubectl: Kubectl
    kubeconfig: Path
    folder: Path
    fleets: Mapping[str, Fleet]

    def metrics_apiserver(
        self, name: str = "a", off_by: timedelta = timedelta()
    ) -> AbstractContextManager[MetricsAPIServerProcess]:
        """Run a metrics API server; `off_by`: its clock is wrong."""
        return metrics_apiserver(self.kubectl, self.kubeconfig, self.folder / f"{name}.log", {}, off_by)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MetricsCluster]:
    folder = tmp_path_factory.mktemp("outages")
    sync = f"--horizontal-pod-autoscaler-sync-period={SYNC}s"
    with ExitStack() as stack:
        kubectl = stack.enter_context(operated(folder, {"METRICS_APISERVER": NAME}, sync))
        yield MetricsCluster(kubectl, install(kubectl, folder), folder, made(kubectl, stack))


def made(kubectl: Kubectl, stack: ExitStack) -> Mapping[str, Fleet]:
    """Make all fleets, and let their pods run and have as much to do as they should."""
    fleets = {name: Fleet(LiveChatDeployment(kubectl, name)) for name in (*SIZES, WITHOUT_REDIS)}
    spaces = ({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in fleets)
    kubectl.apply(yaml.safe_dump_all(spaces))
    kubectl.apply(yaml.safe_dump_all(document(Ref(name, "support"), autoscaling=AUTOSCALING) for name in fleets))
    for name, size in SIZES.items():
        eventually(partial(fleets[name].chatdeployment.exists, DEPLOYMENT))
        kubectl("scale", DEPLOYMENT, f"--replicas={size}", "-n", name)
    for name, size in SIZES.items():
        eventually(partial(fleets[name].has, size))
        for pod in fleets[name].pods():
            figures = stack.enter_context(exporting(**{metrics.ACTIVE_STREAMS: BUSY}))
            run(kubectl, name, pod, figures.address)
            fleets[name].figures.append(figures)
    return fleets


def test_pods_that_hang_fail_or_tell_nonsense_are_kept_until_they_tell_that_they_are_idle(
    cluster: MetricsCluster,
) -> None:
    fleet = cluster.fleets["unreadable"]
    with cluster.metrics_apiserver():
        fleet.settles(SIZES["unreadable"])
        fleet.inject(FAULTS)
        fleet.set_metrics(0)
        fleet.stands_still("FailedGetPodsMetric", "no metrics returned")
        fleet.inject([None] * len(FAULTS))
        fleet.shrinks()


def test_a_killed_metrics_api_server_keeps_all_pods_until_there_is_another(cluster: MetricsCluster) -> None:
    fleet = cluster.fleets["killed"]
    with cluster.metrics_apiserver() as killed:
        fleet.settles(SIZES["killed"])
        killed.kill()
        fleet.set_metrics(0)
        fleet.stands_still()
    with cluster.metrics_apiserver():
        fleet.shrinks()


def test_a_metrics_api_server_that_hangs_keeps_all_pods_until_it_goes_on(cluster: MetricsCluster) -> None:
    """The autoscaler's own request hangs as well, for a minute: by then the operator reports the cause."""
    fleet = cluster.fleets["stopped"]
    with cluster.metrics_apiserver() as stopped:
        fleet.settles(SIZES["stopped"])
        stopped.program.pause()
        fleet.set_metrics(0)
        fleet.stands_still("FailedDiscoveryCheck")
        stopped.program.resume()
        fleet.shrinks()


def test_clocks_that_are_an_hour_off_decide_nothing(cluster: MetricsCluster) -> None:
    """Two servers take turns, one early and one late: staleness does not depend on the time of day."""
    fleet = cluster.fleets["skewed"]
    with cluster.metrics_apiserver("early", -HOUR), cluster.metrics_apiserver("late", HOUR):
        fleet.settles(SIZES["skewed"])
        for wrong in (-1, 1):
            eventually(partial(is_hours_off, cluster, wrong))
        fleet.inject([hangs, hangs])
        fleet.set_metrics(0)
        fleet.stands_still("FailedGetPodsMetric", "no metrics returned")
        fleet.inject([None, None])
        fleet.shrinks()


def is_hours_off(cluster: MetricsCluster, hours: int) -> bool:
    """Return whether the server that responds now is the one with this wrong clock."""
    told = json.loads(cluster.kubectl("get", "--raw", f"{METRICS}/namespaces/skewed/pods/%2A/{metrics.ACTIVE_STREAMS}"))
    with_hash = datetime.fromisoformat(told["items"][0]["timestamp"])
    return round((with_hash - datetime.now(UTC)) / HOUR) == hours


def test_without_redis_a_real_pod_goes_on_telling_its_streams(cluster: MetricsCluster, tmp_path: Path) -> None:
    fleet, host = cluster.fleets[WITHOUT_REDIS], new_address()
    ports = (names.PORT_SERVING, names.PORT_HEALTH)
    config = scripted("endless").model_copy(update={"redis_url_file": str(tmp_path / "url")})
    with ExitStack() as redis, ExitStack() as streams, cluster.metrics_apiserver():
        (tmp_path / "url").write_text(redis.enter_context(redis_server(tmp_path)))
        with api_process(tmp_path, config, at=ports, CHATFLEET_HOST=host):
            run(cluster.kubectl, WITHOUT_REDIS, fleet.pods()[0], host)
            for _ in range(2 * BUSY):
                streams.enter_context(streaming(host))
            fleet.settles(2)
            redis.close()
            eventually(lambda: b'"redis":{"state":"down"' in told_by(host, "/health"))
            tokens = count(host, metrics.TOKENS_TOTAL)
            remains(lambda: fleet.live() == fleet.before, seconds=LOOKS * SYNC)
            assert count(host, metrics.TOKENS_TOTAL) > tokens
            assert (fleet.live(), fleet.works()) == (fleet.before, True)
            streams.close()
            fleet.shrinks()


def told_by(host: str, path: str) -> bytes:
    return fetch(f"http://{host}:{names.PORT_HEALTH}{path}").body


def count(host: str, name: str) -> float:
    lines = told_by(host, f"/metrics?name[]={name}").decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


@contextmanager
def streaming(host: str) -> Iterator[None]:
    """Hold a stream open that does not end by itself."""
    connection = http.client.HTTPConnection(host, names.PORT_SERVING, timeout=20)
    body = {"model": "endless", "stream": True, "messages": [{"role": "user", "content": "Go on"}]}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    with connection.getresponse() as answer:
        assert answer.status == 200
        yield
    connection.close()


ON_DEMAND = {"DEPLOYMENT": NAME, "HOLD_SECONDS": "4"}
SERVER = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {NAME}, namespace: {NAMESPACE}}}
spec:
  replicas: 0
  selector: {{matchLabels: {{app: {NAME}}}}}
  template:
    metadata: {{labels: {{app: {NAME}}}}}
    spec: {{containers: [{{name: metrics-apiserver, image: none}}]}}
"""


def test_on_demand_the_server_comes_with_the_first_need_and_goes_after_the_last(cluster: MetricsCluster) -> None:
    """The last test of this cluster: it deletes the others' ChatDeployments."""
    kubectl, server = cluster.kubectl, ("deployment", NAME, "-n", NAMESPACE)
    first = LiveChatDeployment(kubectl, "on-demand")
    kubectl("delete", "chatdeployments", "--all", "-A")
    kubectl("delete", "apiservice", *SERVICES, "--ignore-not-found")
    named = f"{NAME}-on-demand"
    more = (role("ClusterRole", named, METRICS_ON_DEMAND_RULES), role("Role", named, METRICS_SCALE_RULES, NAMESPACE))
    grant(kubectl, *more, account=NAME)
    kubectl.apply(SERVER)
    kubectl.create_namespace("on-demand")
    kubectl.apply(yaml.safe_dump(document(Ref("on-demand", "support"), autoscaling=AUTOSCALING)))

    eventually(lambda: kubectl.json("get", *server)["spec"]["replicas"] == 2)
    eventually(first.has_condition("AutoscalingActive", "AutoscalerPending", "metrics API server is not ready yet"))
    with metrics_apiserver(kubectl, cluster.kubeconfig, cluster.folder / "on-demand.log", ON_DEMAND):
        eventually(lambda: kubectl("get", "--raw", f"/apis/{names.METRICS_GROUP}"), seconds=40)
        eventually(first.has_condition("AutoscalingActive", "MetricsUnavailable", "FailedGetPodsMetric"), seconds=60)
        kubectl("delete", "chatdeployment", "support", "-n", "on-demand")
        eventually(lambda: not kubectl("get", "apiservice", *SERVICES, "--ignore-not-found"), seconds=60)
        eventually(lambda: kubectl.json("get", *server)["spec"]["replicas"] == 0)
    kubectl("delete", "namespace", "on-demand", "--timeout=60s")  # no API without a server stops it
