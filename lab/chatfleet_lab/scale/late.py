"""Rules of Services that are late, as in a cluster of many nodes: our node's kube-proxy works only now and then."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

STILL_SECONDS: Final = 2.0
"""What it does comes so late, or a second later. Left alone it needs 0.1 s, and hardly a client meets a pod's end."""
AWAKE_SECONDS: Final = 0.5


@asynccontextmanager
async def late_rules(kube_proxy: int) -> AsyncIterator[None]:
    """Let the process `kube_proxy` work only now and then while inside; it goes on in the end, whatever happens."""
    working = asyncio.create_task(_now_and_then(kube_proxy))
    try:
        yield
        if working.done():  # kube-proxy is gone, and the rules were not late, or not there
            working.result()
    finally:
        working.cancel()
        with suppress(ProcessLookupError):
            os.kill(kube_proxy, signal.SIGCONT)


async def _now_and_then(pid: int) -> None:
    while True:
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(STILL_SECONDS)
        os.kill(pid, signal.SIGCONT)
        await asyncio.sleep(AWAKE_SECONDS)
