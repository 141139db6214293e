"""A TCP proxy before a Redis, which can cut, hang, or lose replies."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class Proxy:
    """Passes bytes on, as `mode` says: `pass`, `refuse` connections, `hang` without an answer, or `lose` one reply."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname or "", parts.port or 0)
        self._writers: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self.mode = "pass"
        self.lost = 0
        self.url = ""

    def set(self, mode: str) -> None:
        """Change the mode; what is open is closed, unless it shall hang or lose replies."""
        self.mode = mode
        if mode in ("pass", "refuse"):
            self._close()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self._writers.add(writer)
        if self.mode == "refuse":
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        self._writers.add(far_writer)
        self._pump(reader, far_writer, reply=False)
        self._pump(far_reader, writer, reply=True)

    def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, reply: bool) -> None:
        async def run() -> None:
            with suppress(OSError):
                while data := await reader.read(65536):
                    if self.mode == "hang":
                        continue
                    if reply and self.mode == "lose":
                        self.lost += 1
                        self.set("pass")
                        return
                    writer.write(data)
                writer.close()

        task = asyncio.create_task(run())
        self._pumps.add(task)
        task.add_done_callback(self._pumps.discard)

    def _close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def aclose(self) -> None:
        """Close all that is open."""
        self._close()
        for task in [*self._pumps]:
            task.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[Proxy]:
    """Yield a proxy before the server at `url`."""
    proxy = Proxy(url)
    async with await asyncio.start_server(proxy.accept, "127.0.0.1", 0) as server:
        proxy.url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
        yield proxy
        await proxy.aclose()
