"""Processes that tests and measurements start, hurt and always end."""

import os
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final, Protocol

from typing_extensions import override

from harness.polling import LOOK_SECONDS, eventually, eventually_async

START_SECONDS = 60.0
"""Time that a process gets until it is ready; a pod needs about one on an idle machine."""
END_SECONDS = 600.0
"""Longest that anything waits for the end of a process."""
LOG_TAIL = 2_000
"""Characters of a log that an error quotes."""

_LISTENS: Final = "0A"
"""State of a socket in the kernel's tables."""


class StartError(RuntimeError):
    """A process did not become ready; the message has the end of its log."""


class Target(ABC):
    """What a test may do to a process, wherever it runs."""

    pid: int
    """Its process id on this machine."""
    _paused = False

    @property
    def running(self) -> bool:
        """Whether it runs and is not paused."""
        return not self._paused and not self.has_ended()

    @property
    def resident_bytes(self) -> int:
        """Bytes of memory that it holds."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end, as the kubelet does (SIGTERM)."""
        self._send(signal.SIGTERM)

    def pause(self) -> None:
        """Stop it in its tracks (SIGSTOP)."""
        self._send(signal.SIGSTOP)
        self._paused = True

    def resume(self) -> None:
        """Let it go on (SIGCONT)."""
        self._send(signal.SIGCONT)
        self._paused = False

    @abstractmethod
    async def ended(self) -> int:
        """Wait for its end, and return its exit status (negative: the signal that ended it)."""

    @abstractmethod
    def last_words(self) -> str:
        """Return the end of its log."""

    @abstractmethod
    def has_ended(self) -> bool: ...

    @abstractmethod
    def _send(self, number: signal.Signals) -> None:
        """Send a signal; nothing to a process that has ended."""


class Child(Protocol):
    """A process as `subprocess.Popen` shows it."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None:
        """Return its exit status, negative for a signal; None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit status; raises `subprocess.TimeoutExpired`."""

    def send_signal(self, number: signal.Signals, /) -> None: ...


class Program(Target):
    """One process of this machine, with its output in a file."""

    def __init__(self, name: str, log: Path, process: Child) -> None:
        self.name = name
        self.log = log
        self.pid = process.pid
        self._process = process

    @override
    async def ended(self) -> int:
        await eventually_async(self.has_ended, seconds=END_SECONDS, every=LOOK_SECONDS / 4)
        return self.exit_status()

    def exit_status(self, seconds: float | None = 60) -> int:
        """Wait for its end, without an event loop; raises `subprocess.TimeoutExpired` after `seconds`."""
        return self._process.wait(seconds)

    @override
    def last_words(self) -> str:
        return self.log.read_text(errors="replace")[-LOG_TAIL:]

    @override
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def listens(self, port: int | None) -> bool:
        """Return whether the process itself listens on a port; without one, there is nothing that it lacks."""
        return port is None or _listens(self.pid, port)

    @override
    def _send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(number)


@contextmanager
def started(
    name: str, command: Sequence[str | Path], *, folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Program]:
    """Run a command in `folder` until the block ends; it is killed then, and also when this process ends.

    It inherits no variable but PATH.
    """
    log = folder / f"{name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            ("setpriv", "--pdeathsig", "KILL", "--", *command),
            cwd=folder,
            env={"PATH": os.environ["PATH"], **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    with ended(Program(name, log, process)) as program:
        yield program


@contextmanager
def ended(program: Program) -> Iterator[Program]:
    """Kill a program when the block ends."""
    try:
        yield program
    finally:
        program.kill()
        program.exit_status(None)


@asynccontextmanager
async def awaited(process: AbstractContextManager[Program]) -> AsyncIterator[Program]:
    """Run a program within an event loop, which goes on while the program ends: it notices the lost connections."""
    with process as program:
        try:
            yield program
        finally:
            program.kill()
            await program.ended()


def await_ready(
    program: Program, is_ready: Callable[[], object], *, port: int | None = None, seconds: float = START_SECONDS
) -> None:
    """Wait until a program is ready, and itself listens on `port`: another's server there would look ready, too.

    Raises:
        StartError: it has ended before, or takes too long.
    """
    with suppress(TimeoutError):
        eventually(
            lambda: program.has_ended() or (is_ready() and program.listens(port)),
            seconds=seconds,
            every=LOOK_SECONDS / 2,
        )
        if not program.has_ended():
            return
    raise _not_ready(program, seconds)


async def ready(
    program: Program,
    is_ready: Callable[[], Awaitable[bool]],
    *,
    port: int | None = None,
    seconds: float = START_SECONDS,
) -> None:
    """Do as `await_ready` does, in an event loop."""

    async def settled() -> bool:
        return program.has_ended() or (await is_ready() and program.listens(port))

    with suppress(TimeoutError):
        await eventually_async(settled, seconds=seconds)
        if not program.has_ended():
            return
    raise _not_ready(program, seconds)


def _not_ready(program: Program, seconds: float) -> StartError:
    return StartError(f"{program.name} was not ready within {seconds:g} s; its log ends: {program.last_words()}")


def _listens(pid: int, port: int) -> bool:
    """Return whether a process of this machine has the socket on which a port's connections come in (proc(5))."""
    own = set[str]()
    with suppress(FileNotFoundError):  # it has ended
        own = {*map(_target, Path(f"/proc/{pid}/fd").iterdir())}
    return any(f"socket:[{inode}]" in own for inode in _inodes_of(port))


def _target(descriptor: Path) -> str:
    with suppress(FileNotFoundError):  # closed meanwhile
        return str(descriptor.readlink())
    return ""


def _inodes_of(port: int) -> Iterator[str]:
    """Yield the inodes of the sockets that listen on a port."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(FileNotFoundError), Path(table).open() as lines:  # a machine may have no IPv6
            for line in lines:
                _, local, _, state, *_, inode = line.split()[:10]
                if state == _LISTENS and local.endswith(f":{port:04X}"):
                    yield inode
