"""Libraries for Python applications, unmodified: sessions in which a pod is killed, and LangChain's standard tests."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from harness.clients.toolchains import Client, build, inherited
from harness.pods.balanced import Balanced

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(1800)]

HERE = Path(__file__).parent / "python"
TURNS = 20
KILLED_IN = TURNS // 2
CLIENTS = (
    *("langchain-chat", "langchain-responses", "langchain-messages"),
    *("agents-chat", "agents-responses"),
    *("pydantic-ai-chat", "pydantic-ai-responses"),
    "instructor-chat",
)
STANDARD_SECONDS = 300


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of its own with the libraries."""
    folder = tmp_path_factory.mktemp("python")
    build(sys.executable, "-m", "venv", str(folder), folder=HERE)
    pip = (str(folder / "bin/python"), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet")
    build(*pip, "--no-deps", "--require-hashes", "-r", "requirements.txt", folder=HERE)
    return folder / "bin/python"


@pytest.mark.parametrize("name", CLIENTS)
async def test_no_turn_of_a_library_is_lost_when_a_pod_is_killed(python: Path, fleet: Balanced, name: str) -> None:
    client = Client(name, (str(python), str(HERE / "sessions.py"), name))
    texts: list[str] = []
    async with asyncio.TaskGroup() as tasks:
        async for text in client.lines(fleet.url, "tools", str(TURNS)):
            texts.append(text)
            if len(texts) == KILLED_IN - 1:
                tasks.create_task(fleet.kill_busy())
    assert [text.split()[0] for text in texts] == [f"turn-{turn}" for turn in range(1, TURNS + 1)]
    assert len(fleet.pods) == 1


async def test_langchains_standard_tests_pass(python: Path, fleet: Balanced) -> None:
    alone = ("-c", "/dev/null", "--rootdir", ".", "--confcutdir", ".", "-p", "no:cacheprovider", "--asyncio-mode=auto")
    done = await asyncio.to_thread(
        subprocess.run,
        (python, "-m", "pytest", "-q", *alone, "--tb=short", "langchain_standard.py"),
        cwd=HERE,
        env={**inherited(), "POD_URL": fleet.url},
        capture_output=True,
        text=True,
        timeout=STANDARD_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
