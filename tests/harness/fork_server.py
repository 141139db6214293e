"""Forks our programs from a process that has imported theirs once: a third of the CPU that `python -m` takes.

It is a program, `python -m harness.fork_server`, without threads or an event loop; each worker of pytest has one for
each of our packages that it starts. What is forked is a process with its own environment, folder, log and signals. It
differs from one that `python -m` started in its hash seed, which all of a server share, and is not proof of how a
program starts.
"""

import atexit
import ctypes
import functools
import gc
import importlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from harness.process import START_SECONDS, Program, StartError, ended

PODS: Final = "chatfleet_api.__main__"
"""Whose server forks pods, and the servers of the harness that run beside them."""
AT_START: Final[Mapping[str, Sequence[str]]] = {PODS: ("pydantic.v1", "uvicorn.lifespan.off")}
"""What dependencies import once the program starts: for a pod, a fifth of what it computes until it is ready."""
MAX_BYTES: Final = 100_000
"""Of a request."""
FORK_SECONDS: Final = START_SECONDS
"""Time that a fork gets, the server's own imports included."""
_PR_SET_PDEATHSIG: Final = 1


class Request(msgspec.Struct, frozen=True):
    """What to run: `main` of a module, as with these arguments."""

    module: str
    arguments: list[str]
    folder: str
    environment: dict[str, str]


class Forked:
    """A process that the server has forked; it looks as `subprocess.Popen` does."""

    def __init__(self, guard: socket.socket) -> None:
        guard.settimeout(FORK_SECONDS)
        try:
            pid, descriptors, *_ = socket.recv_fds(guard, 32, 1)
        except TimeoutError as late:
            guard.close()
            raise StartError(f"the fork server has not forked within {FORK_SECONDS} s") from late
        if not pid:
            guard.close()
            raise StartError("the fork server has ended; its error is in the output of the tests")
        self.pid = int(pid)
        self._guard, self._descriptor = guard, descriptors[0]
        self._status: int | None = None

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal; None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status; raises `subprocess.TimeoutExpired`."""
        if self._status is None:
            self._guard.settimeout(timeout)
            try:
                self._status = int(self._guard.recv(32) or -signal.SIGKILL)  # nothing: killed with its guard
            except (BlockingIOError, TimeoutError) as late:
                raise subprocess.TimeoutExpired("a forked process", timeout or 0) from late
            self._guard.close()
            os.close(self._descriptor)
        return self._status

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing to a process that has ended."""
        if self.poll() is None:
            signal.pidfd_send_signal(self._descriptor, number)


class ForkServer:
    """The running server of one module, which forks this and others that import the same; it imports each once."""

    def __init__(self, module: str) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                (sys.executable, "-m", __name__, module, str(theirs.fileno())),
                env={"PATH": os.environ["PATH"]},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )

    def fork(self, request: Request, log: Path) -> Forked:
        """Run what is asked for as a process whose output is appended to `log`."""
        guard, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, log.open("ab") as output:
            socket.send_fds(self._control, [msgspec.json.encode(request)], [theirs.fileno(), output.fileno()])
        return Forked(guard)

    def close(self) -> None:
        """End the server; what it has forked and still runs is killed."""
        self._control.close()
        self._process.wait()


@contextmanager
def forked(
    name: str, module: str, *arguments: str, folder: Path, environment: Mapping[str, str], server: str | None = None
) -> Iterator[Program]:
    """Run `main` of a module in `folder` until the block ends, as `harness.process.started` runs a command.

    `server`: the module whose server forks it; None: `__main__` of its package.
    """
    log = folder / f"{name}.log"
    request = Request(module, [*arguments], str(folder), {"PATH": os.environ["PATH"], **environment})
    child = fork_server(server or f"{module.partition('.')[0]}.__main__").fork(request, log)
    with ended(Program(name, log, child)) as program:
        yield program


@functools.cache
def fork_server(module: str) -> ForkServer:
    """Return this process' server of `module`, which it starts the first time; it ends with this process."""
    server = ForkServer(module)
    atexit.register(server.close)
    return server


def main() -> int | str | None:
    """Fork what is asked for until nobody can ask any more; in a fork, return as its `main` does."""
    gc.disable()  # until the fork's own `main`
    for module in (sys.argv[1], *AT_START.get(sys.argv[1], ())):
        importlib.import_module(module)
    with socket.socket(fileno=int(sys.argv[2])) as control:
        while True:
            message, descriptors, *_ = socket.recv_fds(control, MAX_BYTES, 2)
            _reap_guards()
            if not message:
                return 0
            request = msgspec.json.decode(message, type=Request)
            with suppress(Exception):  # it fails again in the fork, and what it raises is in the log of that
                importlib.import_module(request.module)
            gc.freeze()
            if not os.fork():
                break
            for each in descriptors:
                os.close(each)
    return _guard(request, *descriptors)


def _reap_guards() -> None:
    """Wait for those that have ended, so that the time that they computed counts as of this server (getrusage(2))."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _guard(request: Request, report: int, log: int) -> int | str | None:
    """Fork a process and report its id, a descriptor for signals, and in the end its exit status."""
    _end_with_parent()
    with socket.socket(fileno=report) as guard:
        if pid := os.fork():
            os.close(log)
            socket.send_fds(guard, [str(pid).encode()], [os.pidfd_open(pid)])
            _, status = os.waitpid(pid, 0)
            guard.send(str(os.waitstatus_to_exitcode(status)).encode())
            os._exit(0)
    return _become(request, log)


def _become(request: Request, log: int) -> int | str | None:
    """Be the process that was asked for; returns what is for `sys.exit`."""
    _end_with_parent()
    os.chdir(request.folder)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    os.environ.clear()
    os.environ.update(request.environment)
    time.tzset()
    sys.argv = [request.module, *request.arguments]
    status: int | str | None = importlib.import_module(request.module).main()
    return status


def _end_with_parent() -> None:
    """Have the kernel kill this process when its parent ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
