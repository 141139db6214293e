"""Progress messages: a spinner on a terminal, plain lines elsewhere.

They go to standard error, so that standard output holds only a command's result.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress as Spinner
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

HEARTBEAT = 30.0
"""Seconds between two lines about a step that is still running, where there is no terminal."""


class Progress:
    """Reports messages, and steps with their duration."""

    def __init__(self, console: Console, heartbeat: float = HEARTBEAT) -> None:
        self._console = console
        self._heartbeat = heartbeat

    def info(self, text: str) -> None:
        self._console.print(escape(text), highlight=False, soft_wrap=True)

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Report `text` as running while the body runs, then whether it succeeded and its duration."""
        started = time.monotonic()
        mark = "✗"
        try:
            with self._spinner(text) if self._console.is_terminal else self._plain(text, started):
                yield
            mark = "✓"
        finally:
            self.info(f"{mark} {text} ({time.monotonic() - started:.1f} s)")

    @contextmanager
    def _spinner(self, text: str) -> Iterator[None]:
        columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
        with Spinner(*columns, console=self._console, transient=True) as spinner:
            spinner.add_task(escape(text), total=None)
            yield

    @contextmanager
    def _plain(self, text: str, started: float) -> Iterator[None]:
        over = threading.Event()

        def beat() -> None:
            while not over.wait(self._heartbeat):
                self.info(f"… {text} ({time.monotonic() - started:.0f} s so far)")

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
