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
