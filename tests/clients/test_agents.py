"""Coding agents, unmodified, in a session of 20 turns with tools; a pod is killed in the tenth: no turn is lost."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from chatfleet_contract.runtime import RuntimeConfig, RuntimeProvider
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model
from harness.clients.agents import ClaudeCode, Session
from harness.clients.toolchains import build, require
from harness.pods.api_process import api_process
from harness.pods.balanced import Balanced, balanced
from harness.redis.server import redis_server

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(1800)]

HERE = Path(__file__).parent / "agents"
TURNS = 20
KILLED_IN = 10
MODEL = "tools"
WORDS = " ".join(f"word-{number}" for number in range(60))
"""At 30 tokens a second, the call of a tool with these takes two seconds."""
AGENTS: dict[str, Callable[[Path, Path, str, str], Awaitable[Session]]] = {
    "claude": ClaudeCode.start,
}


@pytest.fixture(scope="session")
def programs() -> Path:
    require("node", "npm")
    build("npm", "ci", "--no-audit", "--no-fund", folder=HERE)
    return HERE / "node_modules" / ".bin"


@pytest_asyncio.fixture(loop_scope="session")
async def pods(tmp_path: Path) -> AsyncIterator[Balanced]:
    """Two pods with one Redis, behind one address."""
    with ExitStack() as stack:
        (tmp_path / "redis").write_text(stack.enter_context(redis_server(tmp_path / "data")))
        config = RuntimeConfig(
            deployment="support",
            namespace="shop",
            redis_url_file=str(tmp_path / "redis"),
            providers=(RuntimeProvider(name="scripted", type=ProviderType.SCRIPTED),),
            models=(Model(name=MODEL, provider="scripted", model="tools@30"),),
        )
        both = [stack.enter_context(api_process(tmp_path, config)) for _ in range(2)]
        async with balanced(*both) as running:
            yield running


async def kill_the_busy_one(pods: Balanced) -> None:
    pods.kill(await pods.busy())


@pytest.mark.parametrize("name", AGENTS)
async def test_no_turn_of_an_agent_is_lost_when_a_pod_is_killed(
    programs: Path, pods: Balanced, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    session = await AGENTS[name](programs / name, folder, pods.url, MODEL)
    try:
        for turn in range(1, TURNS + 1):
            command = f"echo turn-{turn} >> turns; tail -1 turns"
            if turn == KILLED_IN:
                async with asyncio.TaskGroup() as both:
                    both.create_task(kill_the_busy_one(pods))
                    answer = await session.run(f"{command} # {WORDS}")
            else:
                answer = await session.run(command)
            assert f"turn-{turn}" in answer
    finally:
        await session.end()
    assert (folder / "turns").read_text().split() == [f"turn-{turn}" for turn in range(1, TURNS + 1)]
    assert len(pods.pods) == 1
