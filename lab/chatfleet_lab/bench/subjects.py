"""What is measured side by side: each a server between the load client and the same upstream."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from chatfleet_api.pod.settings import ENV_HEALTH_PORT, ENV_HOST, ENV_PORT
from chatfleet_contract.names import ENV_CONFIG_FILE
from chatfleet_contract.runtime import RuntimeConfig, RuntimeProvider
from chatfleet_contract.spec import Streaming
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model
from chatfleet_lab.bench.client import (
    COMPLETIONS,
    CONVERSATIONS,
    MESSAGES,
    RESPONSES,
    Api,
    Endpoint,
    LoadError,
    completions,
)
from chatfleet_lab.bench.packages import LITELLM, SMG, TENSORZERO, Package
from chatfleet_lab.bench.processes import START_SECONDS, Cores, Server, server
from chatfleet_lab.bench.workload import Workload
from harness.net import LOOPBACK, LOOPBACK_EGRESS, free_port
from harness.polling import eventually_async
from harness.redis.server import redis_server
from harness.upstream.prerendered import MODEL

FIRST_SECONDS: Final = 5.0
"""Time for a first stream; then another is tried, since a server may take a request before it can answer it."""
LOOK_SECONDS: Final = 0.01
"""Between two looks whether a server answers."""


class Setup(NamedTuple):
    """Where one subject finds what it needs."""

    folder: Path
    port: int
    """To listen on."""
    upstream: str
    """Base URL, without `/v1`."""


class Launch(NamedTuple):
    """How a subject is started."""

    command: Sequence[str | Path]
    environment: Mapping[str, str] = {}
    chosen: Path | None = None
    """File in which a server tells the port that it has chosen, if it takes none."""


@dataclass(frozen=True)
class Subject:
    """One thing to measure."""

    key: str
    name: str
    launch: Callable[[Setup], Launch] | None
    """None: the upstream itself, with nothing between."""
    api: Api = COMPLETIONS
    redis: bool = False
    package: Package | None = None
    steady: int = 100
    """Streams of 50 tokens/s that it has to hold; fewer where these alone are too many."""
    crowd: int = 1000
    """Streams that it has to hold at slower rates."""


@dataclass(frozen=True)
class Running:
    """A subject that answers."""

    target: Endpoint
    process: Server
    ready_seconds: float = field(default=0.0)
    """From its start to the end of its first stream."""


@asynccontextmanager
async def running(subject: Subject, folder: Path, cores: Cores) -> AsyncIterator[Running]:
    """Run an upstream and a subject before it until the block ends."""
    async with AsyncExitStack() as stack:
        port = free_port()
        played = Launch((sys.executable, "-m", "harness.upstream.scripted", str(port), "--prerendered"))
        upstream = stack.enter_context(
            server(played.command, played.environment, log=folder / "upstream.log", core=cores.load)
        )
        await _await_stream(Endpoint(port, COMPLETIONS), upstream)
        if subject.launch is None:
            yield Running(Endpoint(port, COMPLETIONS), upstream)
            return
        if subject.redis:
            (folder / "redis.url").write_text(stack.enter_context(redis_server(folder)))
        setup = Setup(folder, free_port(), f"http://{LOOPBACK}:{port}")
        launch = subject.launch(setup)
        begun = asyncio.get_running_loop().time()
        process = stack.enter_context(
            server(launch.command, launch.environment, log=folder / "server.log", core=cores.server)
        )
        port = setup.port if launch.chosen is None else await _chosen_port(launch.chosen, process)
        target = Endpoint(port, subject.api)
        await _await_stream(target, process)
        yield Running(target, process, asyncio.get_running_loop().time() - begun)


async def _chosen_port(file: Path, process: Server) -> int:
    """Return the port in `file` as soon as it is there."""

    def written() -> bool:
        process.check()
        return file.exists() and bool(file.read_text())

    await eventually_async(written, seconds=START_SECONDS, every=LOOK_SECONDS)
    return int(file.read_text())  # noqa: ASYNC240  # nothing is measured yet


async def _await_stream(target: Endpoint, process: Server) -> None:
    """Return as soon as a server streams."""

    async def streams() -> bool:
        process.check()
        try:
            connection = await target.connect()
            async with asyncio.timeout(FIRST_SECONDS):
                await target.stream(connection, Workload(1))
        except (OSError, LoadError, LookupError):
            return False
        connection.transport.abort()
        return True

    await eventually_async(streams, seconds=START_SECONDS, every=LOOK_SECONDS)


def _module(name: str, *arguments: str) -> Launch:
    """Return how a module of the benchmark is run."""
    return Launch((sys.executable, "-m", f"chatfleet_lab.bench.{name}", *arguments))


def _chatfleet(setup: Setup, *, vendor: ProviderType = ProviderType.OPENAI_COMPATIBLE) -> Launch:
    url = setup.folder / "redis.url"
    config = RuntimeConfig(
        deployment="bench",
        namespace="bench",
        egress=LOOPBACK_EGRESS,
        providers=(
            RuntimeProvider(
                name="upstream",
                type=vendor,
                base_url=setup.upstream if vendor is ProviderType.ANTHROPIC else f"{setup.upstream}/v1",
                max_concurrent_requests=2000,
            ),
        ),
        models=(Model(name=MODEL, provider="upstream", model=MODEL),),
        redis_url_file=str(url) if url.exists() else None,
        streaming=Streaming(max_streams_per_pod=2000),
    )
    file = setup.folder / "runtime.json"
    file.write_text(config.render())
    environment = {
        ENV_CONFIG_FILE: str(file),
        ENV_HOST: LOOPBACK,
        ENV_PORT: str(setup.port),
        ENV_HEALTH_PORT: str(free_port()),
    }
    return Launch((sys.executable, "-m", "chatfleet_api"), environment)


def _fastapi(setup: Setup) -> Launch:
    return _module("peers.fastapi_openai", str(setup.port), f"{setup.upstream}/v1")


def _litellm(setup: Setup) -> Launch:
    """Return how LiteLLM is started without a database, a price list from the network, or a report to its makers."""
    file = setup.folder / "litellm.yaml"
    file.write_text(
        f'model_list: [{{model_name: {MODEL}, litellm_params: {{model: "openai/{MODEL}",'
        f' api_base: "{setup.upstream}/v1", api_key: none}}}}]\n'
    )
    quiet = ("LITELLM_LOCAL_MODEL_COST_MAP", "NO_DOCS", "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY")
    ours = ("--config", file, "--host", LOOPBACK, "--port", str(setup.port), "--num_workers", "1")
    return Launch((LITELLM.command("litellm"), *ours), {"LITELLM_TELEMETRY": "False", **dict.fromkeys(quiet, "True")})


def _smg(setup: Setup) -> Launch:
    ours = ("--host", LOOPBACK, "--port", str(setup.port), "--policy", "round_robin")
    metrics = ("--prometheus-host", LOOPBACK, "--prometheus-port", str(free_port()))
    return Launch((SMG.command("smg"), "launch", *ours, *metrics, "--worker-urls", setup.upstream))


def _tensorzero(setup: Setup) -> Launch:
    """Return how the gateway is started that TensorZero's package holds, without a database or a record of requests."""
    file = setup.folder / "tensorzero.toml"
    file.write_text(
        "[gateway]\nobservability.enabled = false\n"
        f'[models.{MODEL}]\nrouting = ["upstream"]\n'
        f'[models.{MODEL}.providers.upstream]\ntype = "openai"\nmodel_name = "{MODEL}"\n'
        f'api_base = "{setup.upstream}/v1"\napi_key_location = "none"\n'
    )
    script = Path(__file__).parent / "peers" / "tensorzero_gateway.py"
    chosen = setup.folder / "port"
    return Launch((TENSORZERO.command("python"), script, file, chosen), chosen=chosen)


DIRECT: Final = Subject("direct", "no server between", None)
CHATFLEET: Final = Subject("chatfleet", "**Chatfleet**, with Redis", _chatfleet, redis=True)
OURS: Final = (
    CHATFLEET,
    Subject("chatfleet_memory", "Chatfleet, all in memory", _chatfleet),
    Subject(
        "chatfleet_conversations",
        "Chatfleet, conversations and run log in Redis",
        _chatfleet,
        CONVERSATIONS,
        redis=True,
    ),
    Subject("chatfleet_messages", "Chatfleet, Messages in", _chatfleet, MESSAGES, redis=True),
    Subject("chatfleet_responses", "Chatfleet, Responses in, stored", _chatfleet, RESPONSES, redis=True),
    Subject(
        "chatfleet_anthropic",
        "Chatfleet, chat completions to Anthropic",
        partial(_chatfleet, vendor=ProviderType.ANTHROPIC),
        redis=True,
    ),
)
RELAY: Final = Subject("fastapi_openai", "FastAPI and the `openai` SDK", _fastapi)
OTHERS: Final = (
    Subject("litellm", f"LiteLLM {LITELLM.version}", _litellm, package=LITELLM, steady=20, crowd=200),
    Subject(
        "tensorzero",
        f"TensorZero {TENSORZERO.version} (Rust)",
        _tensorzero,
        completions("/openai/v1/chat/completions", f"tensorzero::model_name::{MODEL}"),
        package=TENSORZERO,
    ),
    Subject("smg", f"smg {SMG.version} (Rust)", _smg, package=SMG),
)
SUBJECTS: Final = (DIRECT, *OURS, RELAY, *OTHERS)
