"""One at a time: locks between processes that the kernel lets go of when their holder dies."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chatfleet_cluster.steps import Steps


@contextmanager
def locked(path: Path, steps: Steps, *, what: str) -> Iterator[None]:
    """Hold the lock `path` while the body runs; wait for it if another process has it, and say so.

    The file stays: to remove it would let two processes hold "the" lock at once.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with steps.step(f"Waiting for another process: {what}"):
                fcntl.flock(file, fcntl.LOCK_EX)
        yield
