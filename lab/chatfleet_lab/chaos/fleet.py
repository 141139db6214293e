"""A fleet: pods that scenarios ask and hurt, a way to reach one that lives, and what is configured.

Here its pods are processes of this machine; `chaos.node` has them on a real node.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias
from urllib.parse import urlsplit

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from chatfleet_api.pod.settings import ENV_HEALTH_PORT, ENV_HOST, ENV_PORT
from chatfleet_contract.names import ENV_CONFIG_FILE, ENV_POD_NAME
from chatfleet_contract.runtime import (
    RuntimeAccess,
    RuntimeConfig,
    RuntimeKeys,
    RuntimeProvider,
    RuntimeTimeouts,
    RuntimeToolServer,
)
from chatfleet_contract.spec import Limits, Streaming
from chatfleet_contract.spec.pricing import Pricing
from chatfleet_contract.spec.provider_types import PROVIDER_TYPES, Continuation, ProviderType
from chatfleet_contract.spec.providers import Model, Retries
from harness.fork_server import PODS, forked
from harness.net import LOOPBACK, LOOPBACK_EGRESS, free_port
from harness.process import Target, awaited, ready
from harness.upstream.wires import WIRES, Wire

Server: TypeAlias = tuple[str, *tuple[str, ...]]
"""A module, whose `main` is run, and its arguments."""
CHATFLEET: Final[Server] = (PODS,)
"""The server that the scenarios are about."""
BASELINE: Final[Server] = ("chatfleet_lab.chaos.baseline",)
"""The server of control runs that need no part of ours."""


class UpstreamKind(NamedTuple):
    """A kind of upstream: the name of its model, and what the scripted upstream is for its provider."""

    name: str
    wire: Wire
    continuation: Continuation
    """How its model goes on with a cut answer."""

    def settings(self, origin: str) -> dict[str, object]:
        """Return the settings of a provider whose upstream is at `origin`."""
        return {"type": self.wire.type, "baseURL": origin + self.wire.base_path, **self.wire.settings}


def _continuation(kind: ProviderType) -> Continuation:
    """Return how models of this type go on, the mode that asks for it before the one that does not."""
    modes: tuple[Continuation, ...] = ("continueFinalMessage", "prefill")
    return next((mode for mode in modes if mode in PROVIDER_TYPES[kind].continuations), "none")


UPSTREAMS: Final = tuple(UpstreamKind(wire.name, wire, _continuation(wire.type)) for wire in WIRES)
MODELS: Final = tuple(kind.name for kind in UPSTREAMS)
CONTINUED: Final = tuple(kind.name for kind in UPSTREAMS if kind.continuation != "none")
"""Models whose cut answers another pod brings to their whole end."""

PATIENT: Final = RuntimeTimeouts(connect_seconds=5, first_token_seconds=30, stall_seconds=30, total_seconds=120)
"""Deadlines that even a busy machine keeps."""
QUICK: Final = RuntimeTimeouts(connect_seconds=5, first_token_seconds=3, stall_seconds=3, total_seconds=120)
"""Deadlines that let a test of silence end soon."""
ROOMY: Final = Streaming(max_streams_per_pod=10_000)
"""Room for all the streams of any scenario."""
NO_RETRIES: Final = Retries(max=0)
UNLIMITED: Final = Limits()


@dataclass(frozen=True)
class Settings:
    """What the scenarios vary of a fleet's configuration."""

    timeouts: RuntimeTimeouts = PATIENT
    retries: Retries = NO_RETRIES
    streaming: Streaming = ROOMY
    redis_url: str | None = None
    archive_url: str | None = None
    """URL of the PostgreSQL of the archive, where pods are processes."""
    wait_replicas: int = 0
    """Replicas that must have a message before it is acknowledged."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Where models have their upstream, if not at its own address: `https://127.0.0.1:1234`."""
    names: Mapping[str, str] = field(default_factory=dict)
    """What upstreams call models, if not `<name>-model`."""
    fallbacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of models, by name."""
    copies: int = 1
    """Of each kind, as providers of their own: what one suffers does not make the pods spare another."""
    scripted: tuple[str, ...] = ()
    """Models of the scripted provider, by their scripts: they need no upstream."""
    tool_server: str = ""
    """URL of the MCP server `tickets`, whose tools the scripted models may use; empty: none."""
    limits: Limits = UNLIMITED
    pricing: Pricing | None = None
    """Of the models of the scripted upstream."""
    tenants: tuple[str, ...] = ()
    """Each with an API key, `key_of`; none: callers need none. Where pods are processes."""
    server: Server = CHATFLEET

    def upstreams(self) -> list[tuple[str, UpstreamKind]]:
        """Return each kind of upstream with the name of its provider, copies too."""
        return [(copy_of(kind.name, number), kind) for kind in UPSTREAMS for number in range(self.copies)]


def copy_of(model: str, number: int) -> str:
    """Return the name of a copy of a model; number 0 is the model itself."""
    return f"{model}-{number}" if number else model


@dataclass(frozen=True)
class Pod:
    """One server."""

    program: Target
    url: str
    """Where its API is."""
    health_url: str
    """Where its probes and metrics are."""

    @property
    def port(self) -> int:
        """Of its API."""
        return urlsplit(self.url).port or 0

    async def is_ready(self) -> bool:
        """Return whether it says that it takes requests."""
        try:
            async with aiohttp.request("GET", f"{self.health_url}/ready") as response:
                return response.ok
        except aiohttp.ClientError:
            return False

    async def metric(self, name: str, **labels: str) -> float:
        """Return the sum of a metric over all label sets that have these labels, as it is exported now."""
        async with aiohttp.request("GET", f"{self.health_url}/metrics", params={"name[]": name}) as response:
            families = text_string_to_metric_families(await response.text())
        samples = (sample for family in families for sample in family.samples if sample.name == name)
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())


class Fleet:
    """Some pods. `url` does what a Service does: it names them in turn, those that run."""

    def __init__(self, start: Callable[[], Awaitable[Pod]]) -> None:
        self.pods: list[Pod] = []
        self._start = start
        self._turn = count()

    @property
    def running(self) -> list[Pod]:
        """The pods that run."""
        return [pod for pod in self.pods if pod.program.running]

    @property
    def url(self) -> str:
        """The next pod's."""
        running = self.running
        return running[next(self._turn) % len(running)].url

    async def add(self) -> Pod:
        """Get one more pod, as a Deployment does in the place of a dead one; return when it is ready."""
        pod = await self._start()
        self.pods.append(pod)
        return pod


class OpenFleet(Protocol):
    """Opens fleets in one kind of place."""

    def __call__(
        self, folder: Path, upstream: str, settings: Settings, *, pods: int = 1
    ) -> AbstractAsyncContextManager[Fleet]:
        """Run a fleet, with its files in `folder`, that asks the scripted upstream at the URL `upstream`."""


class Platform(NamedTuple):
    """Where fleets run."""

    name: Literal["processes", "node"]
    open_fleet: OpenFleet
    most_copies: int
    """Of each kind of upstream that one fleet may have."""


@asynccontextmanager
async def open_fleet(folder: Path, upstream: str, settings: Settings, *, pods: int = 1) -> AsyncIterator[Fleet]:
    """Run a fleet, with its files in `folder`, that asks the scripted upstream at the URL `upstream`."""
    config = folder / "runtime.json"
    config.write_text(runtime_config(folder, upstream, settings).render())
    async with AsyncExitStack() as stack:
        fleet = Fleet(lambda: stack.enter_async_context(_pod(folder, config, settings.server)))
        await asyncio.gather(*(fleet.add() for _ in range(pods)))
        yield fleet


PROCESSES: Final = Platform("processes", open_fleet, sys.maxsize)


def runtime_config(folder: Path, upstream: str, settings: Settings) -> RuntimeConfig:
    """Return the configuration of a fleet; what it names as files is in `folder`."""
    (key := folder / "api-key").write_text("sk-chaos")
    (redis_url := folder / "redis-url").write_text(settings.redis_url or "")
    (archive_url := folder / "archive-url").write_text(settings.archive_url or "")
    return RuntimeConfig(
        deployment="chaos",
        namespace="chaos",
        egress=LOOPBACK_EGRESS,
        providers=tuple(
            RuntimeProvider.model_validate(
                {
                    "name": name,
                    "apiKeyFile": str(key),
                    "timeouts": settings.timeouts,
                    "retries": settings.retries,
                    "maxConcurrentRequests": 10_000,
                    **kind.settings(settings.origins.get(name, upstream)),
                }
            )
            for name, kind in settings.upstreams()
        )
        + ((RuntimeProvider(name="scripted", type=ProviderType.SCRIPTED),) if settings.scripted else ()),
        models=models(settings),
        tool_servers=_tool_servers(settings),
        redis_url_file=str(redis_url) if settings.redis_url else None,
        archive_url_file=str(archive_url) if settings.archive_url else None,
        redis_wait_replicas=settings.wait_replicas or None,
        streaming=settings.streaming,
        limits=settings.limits,
        access=_access(folder, settings.tenants),
    )


def key_of(tenant: str) -> str:
    """Return the API key of a tenant."""
    return f"sk-chaos-{tenant:-<40}"


def _access(folder: Path, tenants: Sequence[str]) -> RuntimeAccess:
    """Return the access of callers, with the keys of tenants in a folder each."""
    for tenant in tenants:
        (folder / "keys" / tenant).mkdir(parents=True)
        (folder / "keys" / tenant / "key").write_text(key_of(tenant))
    keys = tuple(RuntimeKeys(tenant=tenant, folder=str(folder / "keys" / tenant)) for tenant in tenants)
    return RuntimeAccess(anonymous=not tenants, api_keys=keys)


def _tool_servers(settings: Settings) -> tuple[RuntimeToolServer, ...]:
    return (RuntimeToolServer(name="tickets", url=settings.tool_server),) if settings.tool_server else ()


def models(settings: Settings) -> tuple[Model, ...]:
    """Return the catalogue."""
    return tuple(
        Model(
            name=name,
            provider=name,
            model=settings.names.get(name, f"{name}-model"),
            fallbacks=[*settings.fallbacks.get(name, ())],
            continuation=kind.continuation,
            pricing=settings.pricing,
        )
        for name, kind in settings.upstreams()
    ) + tuple(
        Model(
            name=name,
            provider="scripted",
            model=name,
            continuation="prefill" if settings.tool_server else "none",
            tools=["tickets"] if settings.tool_server else [],
        )
        for name in settings.scripted
    )


@asynccontextmanager
async def _pod(folder: Path, config: Path, server: Server) -> AsyncIterator[Pod]:
    port, health_port = free_port(), free_port()
    name = f"pod-{port}"
    environment = {
        ENV_CONFIG_FILE: str(config),
        ENV_HOST: LOOPBACK,
        ENV_PORT: str(port),
        ENV_HEALTH_PORT: str(health_port),
        ENV_POD_NAME: name,
    }
    async with awaited(forked(name, *server, folder=folder, environment=environment, server=PODS)) as program:
        pod = Pod(program, f"http://{LOOPBACK}:{port}", f"http://{LOOPBACK}:{health_port}")
        await ready(program, pod.is_ready, port=health_port)
        yield pod
