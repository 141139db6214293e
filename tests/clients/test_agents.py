"""Coding agents, unmodified, in a session of 20 turns with tools; a pod is killed in the tenth: no turn is lost."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from harness.clients.agents import ClaudeCode, Codex, OpenCode, Session
from harness.clients.toolchains import build, require
from harness.pods.balanced import Balanced

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(1800)]

HERE = Path(__file__).parent / "agents"
TURNS = 20
KILLED_IN = 10
MODEL = "tools"
WORDS = " ".join(f"word-{number}" for number in range(60))
"""At 30 tokens a second, the call of a tool with these takes two seconds."""
AGENTS: dict[str, Callable[[Path, Path, str, str], Awaitable[Session]]] = {
    "claude": ClaudeCode.start,
    "codex": Codex.start,
    "opencode": OpenCode.start,
}


@pytest.fixture(scope="session")
def programs() -> dict[str, Path]:
    require("node", "npm")
    build("npm", "ci", "--no-audit", "--no-fund", folder=HERE)
    modules = HERE / "node_modules"
    return {
        **{name: modules / ".bin" / name for name in ("claude", "codex")},
        "opencode": modules / "opencode-linux-x64" / "bin" / "opencode",
    }


@pytest.mark.parametrize("name", AGENTS)
async def test_no_turn_of_an_agent_is_lost_when_a_pod_is_killed(
    programs: dict[str, Path], fleet: Balanced, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    session = await AGENTS[name](programs[name], folder, fleet.url, MODEL)
    try:
        for turn in range(1, TURNS + 1):
            command = f"echo turn-{turn} >> turns; tail -1 turns"
            if turn == KILLED_IN:
                async with asyncio.TaskGroup() as both:
                    both.create_task(fleet.kill_busy())
                    answer = await session.run(f"{command} # {WORDS}")
            else:
                answer = await session.run(command)
            assert f"turn-{turn}" in answer
    finally:
        await session.end()
    assert (folder / "turns").read_text().split() == [f"turn-{turn}" for turn in range(1, TURNS + 1)]
    assert len(fleet.pods) == 1
