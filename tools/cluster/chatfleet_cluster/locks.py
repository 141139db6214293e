"""Locks between processes, which the kernel releases when their holder dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from chatfleet_cluster.progress import Progress


@contextmanager
def locked(path: Path, progress: Progress, *, what: str) -> Iterator[None]:
    """Hold the lock `path` while the body runs; wait for it, with a message, if another process has it.

    The file is removed at the end, so a lock counts only if its file is still the one at `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = _taken(path, progress, what)
    while not _is_at(path, file):
        file.close()
        file = _taken(path, progress, what)
    with file:
        try:
            yield
        finally:
            path.unlink()


def _taken(path: Path, progress: Progress, what: str) -> IO[str]:
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with progress.step(f"Waiting for another process: {what}"):
            fcntl.flock(file, fcntl.LOCK_EX)
    return file


def _is_at(path: Path, file: IO[str]) -> bool:
    try:
        return path.stat().st_ino == os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False
