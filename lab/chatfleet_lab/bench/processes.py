"""Servers under test: started on a core of their own, their costs read, and always ended."""

import atexit
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from harness.process import Program, started

START_SECONDS: Final = 60.0
"""Time that a server gets until it answers."""
PRIORITY: Final = -12
"""Nice value of all that takes part, where that is allowed, so that other work on the machine disturbs it less."""
_SESSION: Final = Path("/proc/self/autogroup")
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Cores(NamedTuple):
    """Who runs where."""

    load: int
    """The clients, the upstream, Redis."""
    server: int
    """What is measured, and nothing else of ours."""


class Cpu(NamedTuple):
    """Processor time, in seconds."""

    user: float
    kernel: float

    @property
    def total(self) -> float:
        """Both."""
        return self.user + self.kernel

    def since(self, before: "Cpu") -> "Cpu":
        """Return what was used since `before`."""
        return Cpu(self.user - before.user, self.kernel - before.kernel)


def take_cores() -> Cores:
    """Put this process, and all it will start, on the first core; the last is for servers under test.

    Raises:
        RuntimeError: there are not two cores.
    """
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise RuntimeError("the benchmark needs two cores: one for the load, one for the server under test")
    os.sched_setaffinity(0, usable[:1])
    with suppress(OSError):
        before = _SESSION.read_text().split()[-1]  # of "/autogroup-123 nice 0": the caller's shell is of it, too
        _SESSION.write_text(str(PRIORITY))
        atexit.register(_restore, before)
    return Cores(usable[0], usable[-1])


def _restore(priority: str) -> None:
    with suppress(OSError):
        _SESSION.write_text(priority)


class Server:
    """A running server."""

    def __init__(self, program: Program) -> None:
        self._program = program

    @property
    def pid(self) -> int:
        return self._program.pid

    def check(self) -> None:
        """Raise `RuntimeError`, with the end of its log, when it has ended."""
        if self._program.has_ended():
            raise RuntimeError(f"the server ended: {self._program.last_words()}")

    def cpu(self) -> Cpu:
        """Return the processor time of the process and of what it started, so far."""
        fields = [_stat(pid) for pid in self._family(self.pid)]
        return Cpu(sum(int(each[11]) for each in fields) / _TICKS, sum(int(each[12]) for each in fields) / _TICKS)

    def resident(self) -> int:
        """Return the bytes in memory, of the process and of what it started."""
        return sum(int(_stat(pid)[21]) for pid in self._family(self.pid)) * os.sysconf("SC_PAGE_SIZE")

    def _family(self, pid: int) -> Iterator[int]:
        yield pid
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from self._family(int(child))


@contextmanager
def server(command: Sequence[str | Path], environment: Mapping[str, str], *, log: Path, core: int) -> Iterator[Server]:
    """Run a command on one core until the block ends, or this process does."""
    pinned = ("taskset", "--cpu-list", str(core), *command)
    with started(log.stem, pinned, folder=log.parent, environment={**os.environ, **environment}) as program:
        yield Server(program)


def busy(core: int) -> float:
    """Return the seconds that a core has worked for anyone, since the machine started."""
    line = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith(f"cpu{core} "))
    user, nice, system, _, _, irq, softirq, steal = map(int, line.split()[1:9])
    return (user + nice + system + irq + softirq + steal) / _TICKS


def _stat(pid: int) -> list[str]:
    """Return the fields of a process's `stat` from the third on (`man 5 proc_pid_stat`)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
