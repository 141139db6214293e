"""Pods as processes behind one address, as a Service has them: each connection goes to the next pod that accepts it."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from harness.net import LOOPBACK
from harness.pods.api_process import ApiProcess
from harness.polling import eventually_async

_BYTES: Final = 65_536
_STREAMS: Final = re.compile(rb"^chatfleet_active_streams (\d+)", re.MULTILINE)


class Balanced:
    """The address, and the pods behind it."""

    def __init__(self, pods: Sequence[ApiProcess]) -> None:
        self.pods = list(pods)
        self.port = 0
        self._connections = 0

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    async def busy(self) -> ApiProcess:
        """Wait until a pod has an open stream, and return it."""
        found: list[ApiProcess] = []

        async def is_busy() -> bool:
            found.extend([pod for pod in self.pods if await asyncio.to_thread(_streams, pod)])
            return bool(found)

        await eventually_async(is_busy, seconds=30, every=0.02)
        return found[0]

    async def kill_busy(self) -> None:
        """Kill the pod that has an open stream, as soon as one has."""
        self.kill(await self.busy())

    def kill(self, pod: ApiProcess) -> None:
        """End a pod by SIGKILL; its connections break, and new ones go to the others."""
        pod.program.kill()
        self.pods.remove(pod)

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass a connection on, both ways, until one side ends it."""
        self._connections += 1
        for turn in range(len(self.pods)):
            pod = self.pods[(self._connections + turn) % len(self.pods)]
            try:
                answers, asks = await asyncio.open_connection(LOOPBACK, pod.port)
            except OSError:
                continue
            await asyncio.gather(_pass_on(reader, asks), _pass_on(answers, writer))
            return
        writer.transport.abort()


@asynccontextmanager
async def balanced(*pods: ApiProcess) -> AsyncIterator[Balanced]:
    """Balance connections over `pods` until the block ends."""
    balancer = Balanced(pods)
    server = await asyncio.start_server(balancer.connect, LOOPBACK)
    balancer.port = server.sockets[0].getsockname()[1]
    try:
        yield balancer
    finally:
        server.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(_BYTES):
            writer.write(data)
            await writer.drain()
    writer.close()


def _streams(pod: ApiProcess) -> int:
    found = _STREAMS.search(pod.health("/metrics").body)
    return int(float(found[1])) if found else 0
