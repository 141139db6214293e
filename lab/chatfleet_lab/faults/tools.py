"""What pods on a node use outside of it: an upstream, and a Redis, each behind a proxy at this machine's address."""

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import redis

from chatfleet_lab.faults.fault import NAME, Case, Fault, Row, Tool
from chatfleet_lab.faults.rows.manifests import manifest, secret
from chatfleet_operator.model.values import Manifest
from harness.faults.proxy import Proxy
from harness.kube.node import Node, component
from harness.redis.server import redis_server
from harness.upstream.fake import FakeUpstream, Handler, Reply, fake_upstream
from harness.upstream.wires import OpenAIWire, answering

HARNESS: Final = "harness"
"""Service without an address of its own, whose name leads to this machine, on any port."""
MODEL: Final = "gpt-x"
KEY: Final = "sk-right"
ASK_SECONDS: Final = 0.5
PATIENCE: Final = aiohttp.ClientTimeout(total=6)
CHAT: Final = {"model": "default", "messages": [{"role": "user", "content": "Hi"}]}


@dataclass
class Tools:
    """What one case has."""

    loop: asyncio.AbstractEventLoop
    host: str
    """Name of this machine in the cluster."""
    upstream: FakeUpstream | None = None
    upstream_proxy: Proxy | None = None
    redis_proxy: Proxy | None = None
    redis_port: int = 0
    cluster: str = ""
    """Name of the node's cluster."""
    paused: int = 0
    """Id of the process of the node that was stopped."""

    @property
    def base_url(self) -> str:
        return f"http://{self.host}:{self.upstream_proxy.port if self.upstream_proxy else 0}/v1"

    @property
    def redis_url(self) -> str:
        return f"redis://{self.host}:{self.redis_proxy.port if self.redis_proxy else 0}/0"

    def redis(self, password: str | None = None) -> "redis.Redis":
        """Return a client of the Redis itself, without its proxy."""
        return redis.Redis(port=self.redis_port, password=password)

    def pause(self, name: str) -> None:
        """Stop a process of the node."""
        self.paused = component(name, self.cluster)
        os.kill(self.paused, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        if self.paused:
            os.kill(self.paused, signal.SIGCONT)

    def run(self, coroutine: Any) -> None:  # noqa: ANN401  # of a proxy
        """Run something in the event loop of the proxies, from another thread."""
        asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)


def well(models: tuple[str, ...] = (MODEL,), chat: Handler | None = None, path: str = "/v1/") -> Handler:
    """Return the script of an upstream that has `models` and the key, and answers chats."""
    listed = ", ".join(f'{{"id": "{model}", "object": "model"}}' for model in models)

    async def script(reply: Reply) -> None:
        if not reply.request.path.startswith(path):
            await refuse(reply, 404, "Not Found", "text/plain")
        elif reply.request.headers.get("authorization") != f"Bearer {KEY}":
            await refuse(reply, 401, '{"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}')
        elif reply.request.method == "POST":
            await (chat or answering(OpenAIWire()))(reply)
        else:
            await refuse(reply, 200, f'{{"object": "list", "data": [{listed}]}}')

    return script


async def refuse(reply: Reply, status: int, body: str, content_type: str = "application/json") -> None:
    """Answer with one body."""
    await reply.head(status, content_type)
    await reply.send(body.encode())
    await reply.end()


@dataclass
class Workshop:
    """Makes the tools of cases on a node, as long as it is open."""

    node: Node
    folder: Path
    cluster: str
    """Its name."""
    shared_redis: int
    """Port of the Redis of rows that do not hurt one."""

    async def equip(self, row: Row, case: Case, stack: AsyncExitStack) -> None:
        """Make the tools of a case, and what leads to them from its namespace."""
        wanted = row.tools if isinstance(row, Fault) else frozenset()
        tools = case.tools = Tools(asyncio.get_running_loop(), f"{HARNESS}.{case.namespace}.svc")
        tools.redis_port, tools.cluster = self.shared_redis, self.cluster
        if Tool.REDIS in wanted:
            url = await asyncio.to_thread(stack.enter_context, redis_server(self.folder / case.namespace))
            tools.redis_port = urlsplit(url).port or 0
        tools.redis_proxy = await stack.enter_async_context(Proxy(tools.redis_port, host=self.node.host))
        spec: dict[str, Any] = {"replicas": 1, "streaming": {"drainSeconds": 0, "maxStreamSeconds": 60}}
        if Tool.UPSTREAM in wanted:
            tools.upstream = await stack.enter_async_context(fake_upstream(well()))
            port = urlsplit(tools.upstream.url).port or 0
            tools.upstream_proxy = await stack.enter_async_context(Proxy(port, host=self.node.host))
            spec |= catalogue(tools.base_url)
            chatting = asyncio.ensure_future(self._chat(case))
            stack.callback(chatting.cancel)
        case.spec = {**spec, **case.spec}
        objects = (*leading_here(self.node.host), secret("own", url=tools.redis_url, key=KEY))
        await asyncio.to_thread(lambda: [case.objects.apply(each) for each in objects])

    async def _chat(self, case: Case) -> None:
        """Request answers again and again, as clients do, whatever comes of it."""
        async with aiohttp.ClientSession(timeout=PATIENCE) as session:
            while True:
                await asyncio.sleep(ASK_SECONDS)
                service = await asyncio.to_thread(case.objects.get, f"service/{NAME}")
                if service is None:
                    continue
                url = f"http://{service['spec']['clusterIP']}/v1/chat/completions"
                try:
                    async with session.post(url, json=CHAT) as answer:
                        await answer.read()
                except (aiohttp.ClientError, TimeoutError):
                    continue


def catalogue(base_url: str, **of_provider: Any) -> Mapping[str, Any]:  # noqa: ANN401  # JSON
    """Return a spec with one provider and one model; a request waits for its first token for a second."""
    provider = {
        "name": "up",
        "type": "openAICompatible",
        "baseURL": base_url,
        "apiKeySecretRef": {"name": "own", "key": "key"},
        "timeouts": {"firstTokenSeconds": 1, "connectSeconds": 1},
    }
    return {
        "providers": [{**provider, **of_provider}],
        "models": [{"name": "default", "provider": "up", "model": MODEL}],
    }


def leading_here(host: str) -> tuple[Manifest, Manifest]:
    """Return what gives this machine a name in a namespace."""
    service = manifest("v1", "Service", HARNESS, spec={"clusterIP": "None", "ports": [{"port": 80, "protocol": "TCP"}]})
    endpoints = manifest(
        *("discovery.k8s.io/v1", "EndpointSlice", HARNESS),
        addressType="IPv4",
        endpoints=[{"addresses": [host], "conditions": {"ready": True}}],
        ports=[{"port": 80, "protocol": "TCP", "name": ""}],
    )
    endpoints["metadata"]["labels"] = {"kubernetes.io/service-name": HARNESS}
    return service, endpoints
