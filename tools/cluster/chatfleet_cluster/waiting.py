"""Waiting for something to become true, with an end."""

import time
from collections.abc import Callable

from chatfleet_cluster.errors import ClusterError

INTERVAL = 0.05


def wait_until(true: Callable[[], bool], what: str, *, seconds: float = 60.0) -> None:
    """Return once `true()`; raise ClusterError naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise ClusterError(f"Waited {seconds:.0f} s in vain for {what}.")
        time.sleep(INTERVAL)
