"""Texts of PDFs, each found once by a process of its own, for a while at a time. It blocks."""

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Final

MAX_PDF_BYTES: Final = 16 * 1024 * 1024
PDF_SECONDS: Final = 20
"""For the text of one."""
RETRY_SECONDS: Final = 600.0
"""After which a PDF is read again whose process was ended: perhaps the node had no time or memory for it."""
READING_SECONDS: Final = 5.0
"""After which a reading begins no other one: what is read by then is served."""

_PACKAGES: Final = str(Path(__file__).parents[2])
"""Where our packages are: in an image, Python finds them by the environment alone."""


class NotYetError(Exception):
    """The text is found by one of the next readings."""


class TransientError(ValueError):
    """The text is not found now, and perhaps later."""


class PdfTexts:
    """Keeps the texts, and why others have none, of all PDFs of the newest reading."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[Hashable, str | ValueError] = {}
        self._retry_at: dict[Hashable, float] = {}
        self._used: set[Hashable] = set()
        self._until = 0.0

    def begin(self) -> None:
        """Begin a reading; what the one before has not used is forgotten."""
        self._known = {key: known for key, known in self._known.items() if key in self._used}
        self._retry_at = {key: at for key, at in self._retry_at.items() if key in self._known}
        self._used = set()
        self._until = self._clock() + READING_SECONDS

    def text(self, key: Hashable, load: Callable[[], bytes]) -> str:
        """Return the text of the PDF that `load` returns; `key` changes with its content.

        Raises:
            ValueError: it has none; the text has the cause, which may pass if it is a `TransientError`.
            NotYetError: the time of this reading is over.
        """
        self._used.add(key)
        if key not in self._known or self._clock() >= self._retry_at.get(key, math.inf):
            if self._clock() > self._until:
                raise NotYetError
            self._known.pop(key, None)
            self._retry_at.pop(key, None)
            try:
                self._known[key] = _text(load())
            except ValueError as wrong:
                self._known[key] = wrong
                if isinstance(wrong, TransientError):
                    self._retry_at[key] = self._clock() + RETRY_SECONDS
        known = self._known[key]
        if isinstance(known, ValueError):
            raise known
        return known


def _text(content: bytes) -> str:
    command = (sys.executable, "-P", "-s", "-m", "chatfleet_api.knowledge.pdf", str(PDF_SECONDS))
    try:
        done = subprocess.run(  # noqa: S603  # our own program
            command,
            input=content,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PYTHONPATH": _PACKAGES},
            timeout=PDF_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TransientError(f"its text is not found within {PDF_SECONDS} s; split it") from None
    if done.returncode:
        ended = TransientError if done.returncode < 0 else ValueError
        raise ended("its text is not found with the time and memory that there is; split it")
    found = json.loads(done.stdout)
    if "why" in found:
        raise ValueError(found["why"])
    return str(found["text"])
