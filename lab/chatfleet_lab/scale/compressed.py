"""The real HorizontalPodAutoscaler in compressed time: with our object, our metrics API server, pods without a kubelet.

Everything that is counted in seconds is divided by one factor: the autoscaler's period, the seconds of `behavior`, the
start of a pod, the streams. What cannot be divided is slower than in truth, never quicker.
"""

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final

import yaml
from kubernetes import client, config
from rich.console import Console

from chatfleet_cluster import controlplane
from chatfleet_cluster.progress import Progress
from chatfleet_contract import names
from chatfleet_contract.spec import ChatDeploymentSpec
from chatfleet_lab.scale.subject import Subject
from chatfleet_operator.children import build
from chatfleet_operator.model.values import LiveState, Manifest, Ref, Resource
from harness.kube.figures import status
from harness.kube.kubectl import Kubectl
from harness.kube.metrics_apiserver_process import SERVICES, install, metrics_apiserver
from harness.kube.operated_cluster import DEFAULTS, spec
from harness.polling import eventually

SPACE: Final = "simulated"
SYNC_SECONDS: Final = 15
"""The autoscaler's period where nobody has changed it."""
SCRAPE_SECONDS: Final = 5
"""The metrics API server's default period. At least 1: beyond a factor of 5, figures are too old, never too new."""
TICK_SECONDS: Final = 0.2


def divided(seconds: int, factor: int) -> int:
    """Return seconds in compressed time, which Kubernetes wants whole."""
    whole, rest = divmod(seconds, factor)
    if rest:
        raise ValueError(f"{seconds} s cannot be divided by {factor}")
    return whole


def autoscaler(name: str, *, cap: int, autoscaling: Manifest, factor: int) -> Manifest:
    """Return the HorizontalPodAutoscaler that our operator makes, with its seconds divided and without its owner."""
    ref = Ref(SPACE, name)
    document = ChatDeploymentSpec.model_validate(spec(autoscaling=autoscaling, streaming={"maxStreamsPerPod": cap}))
    resource = Resource(ref, "uid", "1", 1, document)
    made = build(resource, document, DEFAULTS, live=LiveState(deployed=True)).children
    (manifest,) = (child for child in made if child["kind"] == "HorizontalPodAutoscaler")
    del manifest["metadata"]["ownerReferences"]
    for way in manifest["spec"]["behavior"].values():
        way["stabilizationWindowSeconds"] = divided(way["stabilizationWindowSeconds"], factor)
        for policy in way["policies"]:
            policy["periodSeconds"] = divided(policy["periodSeconds"], factor)
    return manifest


def deployment(name: str, replicas: int) -> Manifest:
    """Return a Deployment whose pods no kubelet starts."""
    labels = {names.LABEL_DEPLOYMENT: name, names.LABEL_COMPONENT: names.COMPONENT_API}
    pod = {"automountServiceAccountToken": False, "containers": [{"name": names.CONTAINER_API, "image": "none"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": SPACE},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


@contextmanager
def stage(factor: int) -> Iterator[Kubectl]:
    """Start an API server, the real controllers and our metrics API server, all of them `factor` times as fast."""
    progress = Progress(Console(stderr=True))
    sync = f"--horizontal-pod-autoscaler-sync-period={SYNC_SECONDS / factor}s"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chatfleet-")))
        plane = stack.enter_context(controlplane.running(os.environ, progress))
        stack.enter_context(controlplane.controlled(plane, os.environ, progress, sync))
        kubectl = Kubectl(plane.kubectl, plane.kubeconfig)
        period = {"PERIOD_SECONDS": str(max(1.0, SCRAPE_SECONDS / factor))}
        stack.enter_context(metrics_apiserver(kubectl, install(kubectl, folder), folder / "a.log", period))
        kubectl.create_namespace(SPACE)
        eventually(lambda: kubectl("get", "serviceaccount", "default", "-n", SPACE))
        for service in SERVICES:
            available = ("wait", f"apiservice/{service}", "--for=condition=Available", "--timeout=5s")
            eventually(lambda available=available: kubectl(*available), seconds=60)  # type: ignore[misc]
        yield kubectl


def play(kubectl: Kubectl, subjects: Sequence[Subject], *, factor: int) -> None:
    """Play all subjects side by side, each to its own end; what they showed is in their samples."""
    for each in subjects:
        kubectl.apply(yaml.safe_dump(deployment(each.name, each.pods)))
    with config.new_client_from_config(str(kubectl.kubeconfig)) as connection:  # type: ignore[no-untyped-call]
        cluster = _Cluster(connection)
        _begin(cluster, kubectl, subjects, factor)
        begun = monotonic()
        while (now := (monotonic() - begun) * factor) < max(each.seconds for each in subjects):
            for each in subjects:
                if now < each.seconds:
                    _turn(cluster, each, now)
            sleep(TICK_SECONDS)


def _begin(cluster: "_Cluster", kubectl: Kubectl, subjects: Sequence[Subject], factor: int) -> None:
    """Let the first pods run for as long as the autoscaler needs to know them; only then time begins."""
    for each in subjects:
        eventually(lambda each=each: len(cluster.pods(each.name)) == each.pods)  # type: ignore[misc]
        _turn(cluster, each, -each.start_seconds)
        _turn(cluster, each, 0.0)
        made = autoscaler(each.name, cap=each.cap, autoscaling=each.autoscaling, factor=factor)
        kubectl.apply(yaml.safe_dump(made))
    for each in subjects:
        condition = "--for=condition=ScalingActive"
        wait = ("wait", f"hpa/{each.name}", "-n", SPACE, condition, "--timeout=60s")
        kubectl(*wait)
        each.samples.clear()


def _turn(cluster: "_Cluster", subject: Subject, now: float) -> None:
    for pod, figures in subject.step(now, cluster.pods(subject.name), cluster.replicas(subject.name)):
        cluster.run(pod, figures.address)


class _Cluster:
    """The few things asked of the API server, many times a second."""

    def __init__(self, connection: Any) -> None:  # noqa: ANN401  # the client has no types
        self._core: Any = client.CoreV1Api(connection)  # asked for JSON, as models cost too much
        self._apps: Any = client.AppsV1Api(connection)

    def pods(self, name: str) -> list[str]:
        listed = self._core.list_namespaced_pod(
            SPACE, label_selector=f"{names.LABEL_DEPLOYMENT}={name}", _preload_content=False
        )
        alive = [pod["metadata"] for pod in json.loads(listed.data)["items"]]
        return [pod["name"] for pod in alive if "deletionTimestamp" not in pod]

    def replicas(self, name: str) -> int:
        read = self._apps.read_namespaced_deployment(name, SPACE, _preload_content=False)
        return int(json.loads(read.data)["spec"]["replicas"])

    def run(self, pod: str, address: str) -> None:
        try:
            self._core.patch_namespaced_pod_status(pod, SPACE, {"status": status(address)})
        except client.ApiException as gone:
            if gone.status != 404:  # taken away in this moment
                raise
