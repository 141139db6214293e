"""Polling a condition until a deadline."""

import time
from collections.abc import Callable

from chatfleet_cluster.errors import ClusterError

INTERVAL = 0.05


def wait_until(true: Callable[[], bool], what: str, *, seconds: float = 60.0) -> None:
    """Return once `true()`; raise ClusterError naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise ClusterError(f"Timed out after {seconds:.0f} s waiting for {what}.")
        time.sleep(INTERVAL)
