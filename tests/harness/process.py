"""Processes that the harness starts, hurts and always ends."""

import asyncio
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from typing_extensions import override

START_SECONDS = 60.0
"""Time that a process gets until it is ready; a pod needs about one on an idle machine."""
LOOK_SECONDS = 0.02
"""Between two looks whether something is as awaited."""
LOG_TAIL = 2_000
"""Characters of a log that an error quotes."""


class StartError(RuntimeError):
    """A process did not become ready; the message has its last words."""


class Target(ABC):
    """What a scenario may do to a process, wherever it runs."""

    pid: int
    """Its process id on this machine."""
    _stopped = False

    @property
    def running(self) -> bool:
        """Whether it runs and is not stopped."""
        return not self._stopped and not self.has_ended()

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self._send(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self._send(signal.SIGTERM)

    def pause(self) -> None:
        """Stop it in its tracks (SIGSTOP)."""
        self._send(signal.SIGSTOP)
        self._stopped = True

    def resume(self) -> None:
        """Let it go on (SIGCONT)."""
        self._send(signal.SIGCONT)
        self._stopped = False

    @abstractmethod
    async def ended(self) -> int:
        """Wait for its end, and return its exit status (negative: the signal that ended it)."""

    @abstractmethod
    def last_words(self) -> str:
        """Return the end of its log."""

    @abstractmethod
    def has_ended(self) -> bool:
        """Say whether it runs no more."""

    @abstractmethod
    def _send(self, number: signal.Signals) -> None:
        """Send a signal; to one that has ended, nothing."""


class Program(Target):
    """One process, with all that it says in a file."""

    def __init__(self, name: str, log: Path, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.log = log
        self.pid = process.pid
        self._process = process

    @override
    async def ended(self) -> int:
        """Wait for its end, and return its exit status (negative: the signal that ended it)."""
        return await self._process.wait()

    @override
    def last_words(self) -> str:
        """Return the end of its log."""
        return self.log.read_text(errors="replace")[-LOG_TAIL:]

    @override
    def has_ended(self) -> bool:
        """Say whether it runs no more."""
        return self._process.returncode is not None

    @override
    def _send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(number)


@asynccontextmanager
async def started(
    name: str, command: Sequence[str | Path], *, folder: Path, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Program]:
    """Run a command in `folder` until the block ends; it is killed then, and also when the harness itself is."""
    log = folder / f"{name}.log"
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *("setpriv", "--pdeathsig", "KILL", "--", *command),
            cwd=folder,
            env={"PATH": os.environ["PATH"], **(environment or {})},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
        )
    program = Program(name, log, process)
    try:
        yield program
    finally:
        program.kill()
        await program.ended()


async def ready(program: Program, look: Callable[[], Awaitable[bool]], *, seconds: float = START_SECONDS) -> None:
    """Wait until `look` says that a program is ready; raises `StartError` when it ends before, or takes too long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not program.has_ended():
                if await look():
                    return
                await asyncio.sleep(LOOK_SECONDS)
    raise StartError(f"{program.name} was not ready within {seconds:g} s; it said: {program.last_words()}")


async def until(holds: Callable[[], Awaitable[bool]], *, seconds: float = 15.0) -> None:
    """Wait until something holds; raises `TimeoutError` when it takes longer than `seconds`."""
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110  # what holds is in other processes
            await asyncio.sleep(LOOK_SECONDS)
