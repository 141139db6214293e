"""A pod in front of an upstream that answers by the model's name, two pods behind one address, and clients, built."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest
import pytest_asyncio

from chatfleet_contract.runtime import RuntimeConfig, RuntimeProvider
from chatfleet_contract.spec import Streaming
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model, Retries
from harness.clients.toolchains import Client, build, require
from harness.net import LOOPBACK_EGRESS
from harness.pods.api_process import ApiProcess, api_process
from harness.pods.balanced import Balanced, balanced
from harness.redis.server import redis_server
from harness.upstream.by_model import SCRIPTS, by_model
from harness.upstream.fake import FakeUpstream, fake_upstream

HERE = Path(__file__).parent
HEARTBEAT_SECONDS = 1
"""Shorter than the pauses of the slow model, and longer than half of one."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with fake_upstream(by_model) as running:
        yield running


@pytest.fixture(scope="session")
def pod(upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    provider = RuntimeProvider(
        name="up", type=ProviderType.OPENAI_COMPATIBLE, base_url=f"{upstream.url}/v1", retries=Retries(max=0)
    )
    config = RuntimeConfig(
        deployment="support",
        namespace="shop",
        providers=(provider,),
        models=tuple(Model(name=name, provider="up", model=name) for name in SCRIPTS),
        streaming=Streaming(heartbeat_seconds=HEARTBEAT_SECONDS),
        egress=LOOPBACK_EGRESS,
    )
    with api_process(tmp_path_factory.mktemp("pod"), config) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def fleet(tmp_path: Path) -> AsyncIterator[Balanced]:
    """Two pods with one Redis, behind one address: their models call tools, slowly, or do what the request wants."""
    with ExitStack() as stack:
        (tmp_path / "redis").write_text(stack.enter_context(redis_server(tmp_path / "data")))
        config = RuntimeConfig(
            deployment="support",
            namespace="shop",
            redis_url_file=str(tmp_path / "redis"),
            providers=(RuntimeProvider(name="scripted", type=ProviderType.SCRIPTED),),
            models=(
                Model(name="tools", provider="scripted", model="tools@30"),
                Model(name="assistant", provider="scripted", model="assistant"),
                Model(name="count", provider="scripted", model="count-40@20", continuation="prefill"),
            ),
        )
        both = [stack.enter_context(api_process(tmp_path, config)) for _ in range(2)]
        async with balanced(*both) as running:
            yield running


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Client]:
    """Return what builds a client by its name, once."""
    folder = tmp_path_factory.mktemp("built")
    return cache(lambda name: BUILDS[name](name, folder))


def _go(name: str, folder: Path) -> Client:
    require("go")
    module = {"openai-go": "go.mod", "openai-go-old": "old.mod"}[name]
    program = str(folder / name)
    build("go", "build", f"-modfile={module}", "-buildvcs=false", "-o", program, ".", folder=HERE / "go")
    return Client(name, (program,))


@cache
def _maven() -> str:
    require("javac", "mvn")
    folder = HERE / "java"
    build("mvn", "--quiet", "--batch-mode", "compile", "dependency:copy-dependencies", folder=folder)
    return f"{folder}/target/classes:{folder}/target/dependency/*"


def _java(name: str, _: Path) -> Client:
    main = {"openai-java": "OpenAi", "langchain4j": "LangChain4j", "spring-ai": "SpringAi"}[name]
    return Client(name, ("java", "-cp", _maven(), main))


def _jdk(name: str, _: Path) -> Client:
    require("javac")
    return Client(name, ("java", str(HERE / "java" / "JdkHttp.java")))


def _javascript(name: str, _: Path) -> Client:
    require("node", "npm")
    folder, program = HERE / JAVASCRIPT[name], name.removesuffix("-js") + ".js"
    build("npm", "ci", "--no-audit", "--no-fund", folder=folder)
    return Client(name, ("node", str(folder / program)))


INTERFACES = ("ai-sdk", "ag-ui", "durable-streams", "providers")
JAVASCRIPT = {"openai-js": "javascript", "librechat": "librechat", **dict.fromkeys(INTERFACES, "interfaces")}
BUILDS: dict[str, Callable[[str, Path], Client]] = {
    "openai-go": _go,
    "openai-go-old": _go,
    "openai-java": _java,
    "langchain4j": _java,
    "spring-ai": _java,
    "openai-js": _javascript,
    "librechat": _javascript,
    **dict.fromkeys(INTERFACES, _javascript),
    "jdk": _jdk,
}
