"""Telling a person what goes on: a moving line on a terminal, plain lines anywhere else.

Goes to standard error, so that standard output carries only what a command was asked for.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

HEARTBEAT = 30.0
"""Seconds after which a plain log says again that a step is still under way."""


class Steps:
    """Shows steps under way with their time."""

    def __init__(self, console: Console, heartbeat: float = HEARTBEAT) -> None:
        self._console = console
        self._heartbeat = heartbeat

    def say(self, text: str) -> None:
        """Tell one thing."""
        self._console.print(escape(text), highlight=False, soft_wrap=True)

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Tell that `text` is under way while the body runs, and how long it took; says so also if it failed."""
        started = time.monotonic()
        mark = "✗"
        try:
            with self._moving(text) if self._console.is_terminal else self._plain(text, started):
                yield
            mark = "✓"
        finally:
            self.say(f"{mark} {text} ({time.monotonic() - started:.1f} s)")

    @contextmanager
    def _moving(self, text: str) -> Iterator[None]:
        columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
        with Progress(*columns, console=self._console, transient=True) as progress:
            progress.add_task(escape(text), total=None)
            yield

    @contextmanager
    def _plain(self, text: str, started: float) -> Iterator[None]:
        over = threading.Event()

        def beat() -> None:
            while not over.wait(self._heartbeat):
                self.say(f"… {text} ({time.monotonic() - started:.0f} s so far)")

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
