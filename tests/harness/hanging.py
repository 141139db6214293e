"""Ends this process with the stack of every thread when a test goes on for twice its timeout.

The exception of pytest-timeout stops what runs at that moment. If that is an asyncio task that nobody awaits, the test
waits on; and so does every test after it.
"""

import faulthandler
import os
import sys
from typing import Protocol

import pytest

STDERR = pytest.StashKey[int]()


class Settings(Protocol):
    """Those of pytest-timeout for one test."""

    @property
    def timeout(self) -> float: ...


def pytest_configure(config: pytest.Config) -> None:
    """Keep the standard error that pytest does not capture."""
    config.stash[STDERR] = os.dup(sys.__stderr__.fileno() if sys.__stderr__ else 2)


def pytest_unconfigure(config: pytest.Config) -> None:
    os.close(config.stash[STDERR])


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Settings) -> None:
    """Arm it; pytest-timeout goes on with its own timer, as this returns nothing."""
    faulthandler.dump_traceback_later(2 * settings.timeout, exit=True, file=item.config.stash[STDERR])


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_cancel_timer(item: pytest.Item) -> None:  # noqa: ARG001  # pluggy passes arguments by name
    faulthandler.cancel_dump_traceback_later()
