"""A fleet on this machine: pods as processes with one runtime configuration, and a way to reach one that lives."""

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from chaos.net import LOOPBACK
from chaos.processes import Program, ready, started
from chatfleet_api.settings import ENV_HEALTH_PORT, ENV_HOST, ENV_PORT
from chatfleet_contract.names import ENV_CONFIG_FILE, ENV_POD_NAME
from chatfleet_contract.providers import Model, ProviderType, Retries
from chatfleet_contract.runtime import RuntimeConfig, RuntimeProvider, RuntimeTimeouts
from chatfleet_contract.spec import Streaming
from support.redis_server import free_port

HARNESS: Final = str(Path(__file__).parents[1])
"""Where the modules of the harness are found."""
CHATFLEET: Final = "chatfleet_api"
"""Module of the server that the scenarios are about."""
NAIVE: Final = "chaos.naive"
"""Module of the server of control runs."""

UPSTREAMS: Final = (
    ("openai", ProviderType.OPENAI, "/v1"),
    ("azure", ProviderType.AZURE_OPENAI, ""),
    ("anthropic", ProviderType.ANTHROPIC, "/anthropic"),
    ("compatible", ProviderType.OPENAI_COMPATIBLE, "/v1"),
)
"""Names of models, the kind of provider behind each, and where the scripted upstream has its API."""
MODELS: Final = tuple(name for name, _, _ in UPSTREAMS)

PATIENT: Final = RuntimeTimeouts(connect_seconds=5, first_token_seconds=30, stall_seconds=30, total_seconds=120)
"""Deadlines that even a busy machine keeps."""
QUICK: Final = RuntimeTimeouts(connect_seconds=5, first_token_seconds=3, stall_seconds=3, total_seconds=120)
"""Deadlines that let a test of silence end soon."""
ROOMY: Final = Streaming(max_streams_per_pod=10_000)
"""Room for all the streams of any scenario."""
NO_RETRIES: Final = Retries(max=0)


@dataclass(frozen=True)
class Settings:
    """What the scenarios vary of a fleet's configuration."""

    timeouts: RuntimeTimeouts = PATIENT
    retries: Retries = NO_RETRIES
    streaming: Streaming = ROOMY
    redis_url: str | None = None
    origin: str | None = None
    """Where the upstream is, if not at its own address: `https://127.0.0.1:1234`, for faults before HTTP."""
    server: str = CHATFLEET
    """Python module that serves."""


@dataclass(frozen=True)
class Pod:
    """One server."""

    program: Program
    port: int
    health_port: int

    @property
    def url(self) -> str:
        """Where its API is."""
        return f"http://{LOOPBACK}:{self.port}"

    async def is_ready(self) -> bool:
        """Return whether it says that it takes requests."""
        try:
            async with aiohttp.request("GET", f"http://{LOOPBACK}:{self.health_port}/ready") as response:
                return response.ok
        except aiohttp.ClientError:
            return False

    async def metric(self, name: str) -> float:
        """Return the sum of a metric over its labels, as it is exported now."""
        async with aiohttp.request("GET", f"http://{LOOPBACK}:{self.health_port}/metrics") as response:
            families = text_string_to_metric_families(await response.text())
        return sum(sample.value for family in families for sample in family.samples if sample.name == name)


class Fleet:
    """Some pods. `url` does what a Service does: it names them in turn, those that run."""

    def __init__(self, pods: Sequence[Pod]) -> None:
        self.pods = tuple(pods)
        self._turn = count()

    @property
    def url(self) -> str:
        """The next pod's."""
        running = [pod for pod in self.pods if pod.program.running]
        return running[next(self._turn) % len(running)].url


@asynccontextmanager
async def open_fleet(folder: Path, upstream: str, settings: Settings, *, pods: int = 1) -> AsyncIterator[Fleet]:
    """Run a fleet, with its files in `folder`, that asks the scripted upstream at the URL `upstream`."""
    config = folder / "runtime.json"
    config.write_text(runtime_config(folder, settings.origin or upstream, settings).render())
    async with AsyncExitStack() as stack:
        fleet = Fleet([await stack.enter_async_context(_pod(folder, config, settings.server)) for _ in range(pods)])
        for pod in fleet.pods:
            await ready(pod.program, pod.is_ready)
        yield fleet


def runtime_config(folder: Path, origin: str, settings: Settings) -> RuntimeConfig:
    """Return the configuration of a fleet; what it names as files is in `folder`."""
    (key := folder / "api-key").write_text("sk-chaos")
    (redis_url := folder / "redis-url").write_text(settings.redis_url or "")
    providers = tuple(
        RuntimeProvider(
            name=name,
            type=kind,
            base_url=f"{origin}{path}",
            api_key_file=str(key),
            azure_api_version="2024-10-21" if kind is ProviderType.AZURE_OPENAI else None,
            timeouts=settings.timeouts,
            retries=settings.retries,
            max_concurrent_requests=10_000,
        )
        for name, kind, path in UPSTREAMS
    )
    return RuntimeConfig(
        deployment="chaos",
        namespace="chaos",
        providers=providers,
        models=tuple(Model(name=name, provider=name, model=f"{name}-model") for name in MODELS),
        redis_url_file=str(redis_url) if settings.redis_url else None,
        streaming=settings.streaming,
    )


@asynccontextmanager
async def _pod(folder: Path, config: Path, server: str) -> AsyncIterator[Pod]:
    port, health_port = free_port(), free_port()
    name = f"pod-{port}"
    environment = {
        ENV_CONFIG_FILE: str(config),
        ENV_HOST: LOOPBACK,
        ENV_PORT: str(port),
        ENV_HEALTH_PORT: str(health_port),
        ENV_POD_NAME: name,
        "PYTHONPATH": HARNESS,
    }
    async with started(name, (sys.executable, "-m", server), folder=folder, environment=environment) as program:
        yield Pod(program, port, health_port)
