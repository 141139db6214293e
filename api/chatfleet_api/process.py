"""How a process starts: the same for the API and the activator."""

import gc
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

from chatfleet_api.pod.configuration import ConfigurationError
from chatfleet_api.pod.settings import SettingsError
from chatfleet_api.server.http_server import AddressTakenError


def run(program: str, start: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Run what `start` returns, and return the exit status: 0 after an orderly end, 2 with a line on why it failed."""
    gc.freeze()  # what was imported is there to the end
    gc.enable()
    try:
        uvloop.run(start())
    except (SettingsError, ConfigurationError, AddressTakenError) as error:
        sys.stderr.write(f"{program}: {error}\n")
        return 2
    return 0
