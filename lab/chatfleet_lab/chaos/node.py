"""A fleet on a real node: the pods of a ChatDeployment, made by the operator and brought back by the kubelet.

The upstream, Redis and the clients stay processes of the harness. What listens on loopback gets a relay at the address
under which pods know this machine. Signals go to the process in a pod's container, which root finds on this machine.
"""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from secrets import token_hex
from select import poll
from typing import Any, Final
from urllib.parse import urlsplit

from typing_extensions import override

from chatfleet_contract.names import COMPONENT_API, LABEL_COMPONENT, LABEL_DEPLOYMENT, PORT_HEALTH, PORT_SERVING
from chatfleet_contract.spec.providers import MAX_PROVIDERS
from chatfleet_lab.chaos.chatdeployment import HARNESS, NAME, manifests, spec_of
from chatfleet_lab.chaos.fleet import CHATFLEET, UPSTREAMS, Fleet, Platform, Pod, Settings
from harness.faults.proxy import Proxy
from harness.kube.node import Node, process_of
from harness.process import Program, Target, awaited, started

READY_SECONDS: Final = 120.0
"""Time that a pod gets until it is ready, the first one with all that the operator does before."""
LOOK_SECONDS: Final = 0.2
SHELL_SIGNAL: Final = 128
"""Exit statuses beyond it tell signals."""
HOME: Final = {"HOME": str(Path.home())}
"""Where kubectl has its cache."""
PODS: Final = ("get", "pods", "-l", f"{LABEL_DEPLOYMENT}={NAME},{LABEL_COMPONENT}={COMPONENT_API}")


@dataclass(frozen=True)
class Cluster:
    """The namespace of one fleet, by kubectl."""

    node: Node
    namespace: str

    async def run(self, *args: str, stdin: str | None = None) -> str:
        """Run kubectl in the namespace and return what it printed."""
        return await asyncio.to_thread(self.node.kubectl, *args, "-n", self.namespace, stdin=stdin)

    async def pods(self) -> list[dict[str, Any]]:
        """Return the API pods that are not told to go, and have a container."""
        found = json.loads(await self.run(*PODS, "-o", "json"))["items"]
        return [
            pod
            for pod in found
            if "deletionTimestamp" not in pod["metadata"] and pod["status"].get("containerStatuses")
        ]


class Container(Target):
    """The process of a container; after a restart it is another one, in the same pod."""

    def __init__(self, id_: str, pid: int, log: Program, cluster: Cluster) -> None:
        """Take over the process `pid`; `log` writes down what it says."""
        self.id = id_
        self.pid = pid
        self.log = log
        self.cluster = cluster
        self._handle = os.pidfd_open(pid)  # whoever gets this process id later is not meant

    @override
    async def ended(self) -> int:
        """Wait for its end, and return its exit status as the kubelet saw it (negative: the signal that ended it)."""
        while True:
            for pod in await self.cluster.pods():
                (container,) = pod["status"]["containerStatuses"]
                for state in (container["state"], container["lastState"]):
                    if (end := state.get("terminated")) and end["containerID"] == self.id:
                        code: int = end["exitCode"]
                        return code if code < SHELL_SIGNAL else SHELL_SIGNAL - code
            await asyncio.sleep(LOOK_SECONDS)

    @override
    def last_words(self) -> str:
        """Return the end of its log."""
        return self.log.last_words()

    def close(self) -> None:
        """Let go of it."""
        os.close(self._handle)

    @override
    def has_ended(self) -> bool:
        """Say whether it runs no more."""
        (look := poll()).register(self._handle)
        return bool(look.poll(0))

    @override
    def _send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, number)


@dataclass
class Pods:
    """Hands out the containers of a ChatDeployment as they become ready, each once."""

    cluster: Cluster
    folder: Path
    stack: AsyncExitStack
    _known: set[str] = field(default_factory=set)
    """Containers that were handed out."""

    async def next(self) -> Pod:
        """Return the next one; a pod that the kubelet lets wait before it starts again makes room for a new one."""
        async with asyncio.timeout(READY_SECONDS):
            while True:
                for pod in await self.cluster.pods():
                    (container,) = pod["status"]["containerStatuses"]
                    if container["ready"] and container["containerID"] not in self._known:
                        self._known.add(container["containerID"])
                        return await self._handed_out(pod, container)
                    if container["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff":
                        await self.cluster.run("delete", "pod", pod["metadata"]["name"], "--wait=false")
                await asyncio.sleep(LOOK_SECONDS)

    async def _handed_out(self, pod: dict[str, Any], status: dict[str, Any]) -> Pod:
        name, address = pod["metadata"]["name"], pod["status"]["podIP"]
        kubectl = self.cluster.node.kubectl
        follow = ("logs", "--follow", name, "-n", self.cluster.namespace)
        command = (kubectl.binary, "--kubeconfig", kubectl.kubeconfig, *follow)
        log_name = f"pod-{name}-{status['restartCount']}"
        log = await self.stack.enter_async_context(
            awaited(started(log_name, command, folder=self.folder, environment=HOME))
        )
        container = Container(status["containerID"], process_of(name), log, self.cluster)
        self.stack.callback(container.close)
        return Pod(container, f"http://{address}:{PORT_SERVING}", f"http://{address}:{PORT_HEALTH}")


async def _relayed(stack: AsyncExitStack, node: Node, url: str, host: str) -> str:
    """Return a URL, of something on loopback, as pods reach it: at `host`, through a relay of its own."""
    parts = urlsplit(url)
    relay = await stack.enter_async_context(Proxy(parts.port or 0, host=node.host))
    return parts._replace(netloc=f"{host}:{relay.port}").geturl()


@asynccontextmanager
async def _open_fleet(
    node: Node, folder: Path, upstream: str, settings: Settings, *, pods: int = 1
) -> AsyncIterator[Fleet]:
    if settings.server != CHATFLEET:
        raise ValueError("the operator makes pods of Chatfleet alone")
    cluster = Cluster(node, f"chaos-{token_hex(4)}")
    name = f"{HARNESS}.{cluster.namespace}.svc"
    async with AsyncExitStack() as stack:
        redis_url = settings.redis_url and await _relayed(stack, node, settings.redis_url, node.host)
        origins = {url: await _relayed(stack, node, url, name) for url in {upstream, *settings.origins.values()}}
        spec = spec_of(settings, pods, lambda provider: origins[settings.origins.get(provider, upstream)])
        made = manifests(cluster.namespace, node.host, spec, redis_url)
        stack.push_async_callback(cluster.run, "delete", "namespace", cluster.namespace, "--wait=false")
        await cluster.run("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": made}))
        fleet = Fleet(Pods(cluster, folder, stack).next)
        await asyncio.gather(*(fleet.add() for _ in range(pods)))
        await cluster.run(
            "wait", f"chatdeployment/{NAME}", "--for=condition=RedisAvailable", f"--timeout={READY_SECONDS:g}s"
        )
        yield fleet


def on_node(node: Node) -> Platform:
    """Return a node, with the chart installed, as the place where fleets run."""
    return Platform("node", partial(_open_fleet, node), MAX_PROVIDERS // len(UPSTREAMS))
