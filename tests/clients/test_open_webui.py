"""Open WebUI, unmodified: a chat of 20 turns with a tool; a pod is killed in the tenth: no turn is lost."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from harness.clients.open_webui import Chat, open_webui
from harness.clients.toolchains import build
from harness.pods.balanced import Balanced

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(1800)]

HERE = Path(__file__).parent / "open_webui"
TURNS = 20
KILLED_IN = TURNS // 2
PADDING = " ".join(["word"] * 60)
"""At 30 tokens a second, the call of a tool with these takes two seconds."""


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of its own."""
    folder = tmp_path_factory.mktemp("open-webui")
    build(sys.executable, "-m", "venv", str(folder), folder=HERE)
    pip = (str(folder / "bin/python"), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet")
    build(*pip, "--no-deps", "--require-hashes", "-r", "requirements.txt", folder=HERE)
    return folder / "bin/python"


@pytest_asyncio.fixture(loop_scope="session")
async def chat(python: Path, fleet: Balanced, tmp_path: Path) -> AsyncIterator[Chat]:
    folder = tmp_path / "open-webui"
    folder.mkdir()
    running = open_webui(python, folder, fleet.url)
    url = await asyncio.to_thread(running.__enter__)
    try:
        begun = Chat(url, "tools")
        await begun.open()
        yield begun
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)


async def test_the_page_offers_the_models(chat: Chat) -> None:
    assert sorted(await chat.models()) == ["assistant", "count", "tools"]


async def test_no_turn_of_a_chat_is_lost_when_a_pod_is_killed(chat: Chat, fleet: Balanced) -> None:
    answers = [await _turn(chat, fleet, turn) for turn in range(1, TURNS + 1)]
    assert [text for text, _ in answers] == [_text(turn) for turn in range(1, TURNS + 1)]
    assert [turn for turn, (_, again) in enumerate(answers, 1) if again] == [KILLED_IN]
    assert len(fleet.pods) == 1


def _text(turn: int) -> str:
    return f"turn-{turn} {PADDING if turn == KILLED_IN else 'word'}"


async def _turn(chat: Chat, fleet: Balanced, turn: int) -> tuple[str, int]:
    message = f"note {json.dumps({'text': _text(turn)})}"
    if turn != KILLED_IN:
        return await chat.send(message)
    async with asyncio.TaskGroup() as both:
        both.create_task(fleet.kill_busy())
        return await chat.send(message)
