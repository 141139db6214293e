"""Unexpected errors of what runs again and again: one traceback, not one for each time."""

import logging
from typing import Final

MAX_REMEMBERED: Final = 256
"""Parts whose last error is remembered; a further one is logged each time."""


class UnexpectedErrors:
    """Logs an unexpected error with its traceback once, and again when it has changed or had been gone."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._last: dict[str, str] = {}

    def failed(self, part: str, error: Exception) -> None:
        """Log that `part` failed with `error`, unless it failed with the same one the last time."""
        shown = f"{type(error).__name__}: {error}"
        if self._last.get(part) == shown:
            return
        if part in self._last or len(self._last) < MAX_REMEMBERED:
            self._last[part] = shown
        self._logger.error("%s failed unexpectedly; it is tried again and logged once", part, exc_info=error)

    def succeeded(self, part: str) -> None:
        self._last.pop(part, None)
