"""Coding agents, unmodified, in a session of many turns: each turn a command for the shell, in a folder of its own."""

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

TURN_SECONDS: Final = 120
"""Time that a turn gets, retries included."""
LINE_BYTES: Final = 1 << 24
CODEX: Final = """\
model = "{model}"
model_provider = "pods"
web_search = "disabled"

[features]
multi_agent = false

[model_providers.pods]
name = "pods"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "POD_KEY"
"""


class Session(Protocol):
    """A session of an agent."""

    async def run(self, command: str) -> str:
        """Let the model run `command` in the shell, and return the text that the agent ends its turn with."""
        ...

    async def end(self) -> None: ...


class ClaudeCode:
    """Claude Code, which stays one process: a line of JSON for each turn, and lines of JSON from it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, program: Path, folder: Path, url: str, model: str) -> "ClaudeCode":
        lines = ("--input-format", "stream-json", "--output-format", "stream-json", "--verbose")
        process = await _started(
            (program, "-p", "--model", model, "--allowedTools", "Bash", *lines),
            folder,
            ANTHROPIC_BASE_URL=url,
            ANTHROPIC_API_KEY="unused",
            ANTHROPIC_DEFAULT_HAIKU_MODEL=model,
            CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
        )
        return cls(process)

    async def run(self, command: str) -> str:
        assert self._process.stdin
        assert self._process.stdout
        text = f"Bash {json.dumps({'command': command})}"
        asked = {"type": "user", "message": {"role": "user", "content": text}}
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        async with asyncio.timeout(TURN_SECONDS):
            while True:
                line = await self._process.stdout.readline()
                assert line, "Claude Code has ended"
                event = _event(line)
                if event.get("type") == "result":
                    assert not event["is_error"], event
                    return str(event["result"])

    async def end(self) -> None:
        await _end(self._process)


class Codex:
    """Codex, which is a process for each turn: the session is a file in its folder."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self._thread: str | None = None

    @classmethod
    async def start(cls, program: Path, folder: Path, url: str, model: str) -> "Codex":
        (folder / "config.toml").write_text(CODEX.format(url=url, model=model))
        return cls(program, folder)

    async def run(self, command: str) -> str:
        text = f"exec_command {json.dumps({'cmd': command})}"
        again = ("resume", self._thread) if self._thread else ()
        options = ("--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox")
        process = await _started(
            (self._program, "exec", *options, *again, text),
            self._folder,
            CODEX_HOME=str(self._folder),
            POD_KEY="unused",
        )
        try:
            async with asyncio.timeout(TURN_SECONDS):
                output, errors = await process.communicate(b"")
        finally:
            await _end(process)
        events = [_event(line) for line in output.splitlines()]
        self._thread = next(each["thread_id"] for each in events if each.get("type") == "thread.started")
        assert events[-1]["type"] == "turn.completed", (events[-1], errors.decode()[-2000:])
        items = [each["item"] for each in events if each.get("type") == "item.completed"]
        return next(str(item["text"]) for item in reversed(items) if item["type"] == "agent_message")

    async def end(self) -> None:
        """Nothing runs between two turns."""


class OpenCode:
    """OpenCode, which is a process for each turn: the session is in its folder."""

    def __init__(self, program: Path, folder: Path, model: str) -> None:
        self._program, self._folder, self._model = program, folder, model
        self._session: str | None = None

    @classmethod
    async def start(cls, program: Path, folder: Path, url: str, model: str) -> "OpenCode":
        provider = {
            "npm": "@ai-sdk/openai-compatible",
            "options": {"baseURL": f"{url}/v1", "apiKey": "unused"},
            "models": {model: {"name": model}},
        }
        settings = {"provider": {"pods": provider}, "share": "disabled", "autoupdate": False}
        (folder / "opencode.json").write_text(json.dumps(settings))
        return cls(program, folder, model)

    async def run(self, command: str) -> str:
        text = f"bash {json.dumps({'command': command, 'description': 'Run a command'})}"
        again = ("--session", self._session) if self._session else ()
        options = ("--format", "json", "--pure", "--auto", "--title", "session", "--model", f"pods/{self._model}")
        process = await _started(
            (self._program, "run", *options, *again), self._folder, OPENCODE_DISABLE_MODELS_FETCH="1"
        )
        try:
            async with asyncio.timeout(TURN_SECONDS):
                output, errors = await process.communicate(text.encode())  # it would quote an argument
        finally:
            await _end(process)
        events = [_event(line) for line in output.splitlines()]
        texts = [each["part"]["text"] for each in events if each.get("type") == "text"]
        assert texts, (events, errors.decode()[-2000:])
        self._session = next(each["sessionID"] for each in events if "sessionID" in each)
        return str(texts[-1])

    async def end(self) -> None:
        """Nothing runs between two turns."""


async def _started(command: tuple[str | Path, ...], folder: Path, **variables: str) -> asyncio.subprocess.Process:
    """Start a program that knows no other address, key, proxy or home than those it is given."""
    environment: Mapping[str, str] = {"PATH": os.environ["PATH"], "HOME": str(folder), **variables}
    return await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=environment,
        limit=LINE_BYTES,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


def _event(line: bytes) -> dict[str, Any]:
    """Return a line of JSON; {} for one that is none."""
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}
