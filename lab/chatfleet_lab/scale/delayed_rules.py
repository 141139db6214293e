"""Rules of Services that change late, as in a cluster of many nodes: kube-proxy is paused most of the time."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

STOPPED_SECONDS: Final = 2.0
"""Its changes come so late, or a second later. Without pauses it needs 0.1 s, and hardly a client meets a pod's end."""
RUNNING_SECONDS: Final = 0.5


@asynccontextmanager
async def delayed_rules(kube_proxy: int) -> AsyncIterator[None]:
    """Pause the process `kube_proxy` most of the time while inside; it is resumed at the end, whatever happens."""
    working = asyncio.create_task(_alternate(kube_proxy))
    try:
        yield
        if working.done():  # kube-proxy is gone, and the rules were not late, or not there
            working.result()
    finally:
        working.cancel()
        with suppress(ProcessLookupError):
            os.kill(kube_proxy, signal.SIGCONT)


async def _alternate(pid: int) -> None:
    while True:
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(STOPPED_SECONDS)
        os.kill(pid, signal.SIGCONT)
        await asyncio.sleep(RUNNING_SECONDS)
