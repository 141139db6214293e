"""A TCP proxy that does to connections what networks do. Its faults are switched while it runs.

Between processes that share no memory, `python -m harness.faults.proxy_server` runs one. Why not toxiproxy:
docs/decisions/0701-own-fault-proxy.md
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from types import TracebackType
from typing import Final, Literal, Self
from urllib.parse import urlsplit

from typing_extensions import override

from harness.faults.toxics import BLACKHOLE, HEALTHY, LOSING, REFUSING, Faults, Toxics, corrupted, pieces
from harness.net import LOOPBACK, free_port, reset

WINDOW: Final = 65_536
"""Bytes of one direction that may be under way; beyond that the sender has to wait."""
_TICK: Final = 1e-6
"""Seconds by which two chunks land apart, so that they land in order."""


class Proxy:
    """Passes connections to another port of this machine, by way of its faults. Use it by `async with`."""

    def __init__(self, to: int, *, port: int = 0, host: str = LOOPBACK) -> None:
        """Pass on to port `to`; listen at the address `host` on `port`, or on one that nobody else gets."""
        self.to = to
        self.host = host
        self.port = port or free_port()
        self.faults = HEALTHY
        self.links: set[Link] = set()
        """The connections that are open."""
        self.accepted = 0
        """Connections so far."""
        self.replies_lost = 0
        self.closed = False
        self._server: asyncio.Server | None = None

    @property
    def redis_url(self) -> str:
        return f"redis://{self.host}:{self.port}/0"

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed = True
        self._deafen()
        for link in tuple(self.links):
            link.give_up()
        await asyncio.sleep(0)  # connections are closed in the event loop's next round

    async def set(self, faults: Faults) -> None:
        """Do this to all connections from now on."""
        self.faults = faults
        if faults.refuse:
            self._deafen()
        elif self._server is None:
            await self._listen()

    async def cut(self) -> None:
        """Reset all connections, and refuse new ones."""
        await self.set(REFUSING)
        self.reset()

    async def hang(self) -> None:
        """Let nothing arrive any more, over connections that stay open."""
        await self.set(BLACKHOLE)

    async def heal(self) -> None:
        """Pass everything on again, over new connections."""
        await self.set(HEALTHY)
        self.reset()

    def lose_reply(self) -> None:
        """Lose the next bytes from the server with all connections, and be healthy then."""
        self.faults = LOSING

    def lost(self) -> None:
        """Note that a reply is lost."""
        self.replies_lost += 1
        self.faults = HEALTHY
        self.reset()

    def reset(self) -> None:
        """Reset all connections that are open."""
        for link in tuple(self.links):
            link.reset()

    def half_close(self) -> None:
        """Tell the clients of all open connections that nothing more will come; what they send is still passed on."""
        for link in self.links:
            link.client.finish()

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Link(self).client, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def _deafen(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None


@asynccontextmanager
async def proxied(redis_url: str) -> AsyncIterator[Proxy]:
    """Open a proxy before the server at `redis_url`; clients find it at the proxy's `redis_url`."""
    async with Proxy(urlsplit(redis_url).port or 0) as proxy:
        yield proxy


class Link:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.faults: Faults | None = None  # of this connection alone
        self.client = End(self, "up")
        self.server = End(self, "down")
        self._dialling: asyncio.Task[None] | None = None
        self._over = False

    def opened(self, end: "End") -> None:
        """Connect to the server when there is a client, and read from the client when there is a server."""
        if self._over or self.proxy.closed:
            end.reset()
        elif end is self.client:
            self.proxy.links.add(self)
            self.proxy.accepted += 1
            self._dialling = asyncio.ensure_future(self._dial())
        else:
            self.client.go_on()

    def other(self, end: "End") -> "End":
        """Return the opposite end."""
        return self.server if end is self.client else self.client

    def finished(self) -> None:
        """Close both connections when both sides have said all they had to say."""
        if self.client.silent and self.server.silent:
            self._end(End.close)

    def reset(self) -> None:
        self._end(End.reset)

    def give_up(self) -> None:
        """Reset both connections, also one that is not there yet."""
        if self._dialling is not None:
            self._dialling.cancel()
        self.reset()

    def _end(self, how: "Callable[[End], None]") -> None:
        self._over = True
        self.proxy.links.discard(self)
        how(self.client)
        how(self.server)

    async def _dial(self) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: self.server, LOOPBACK, self.proxy.to)
        except OSError:
            self.reset()


class End(asyncio.Protocol):
    """Our connection to one of the two sides; what it says goes, in `direction`, to the other."""

    def __init__(self, link: Link, direction: Literal["up", "down"]) -> None:
        self._link = link
        self._direction: Literal["up", "down"] = direction
        self._transport: asyncio.Transport | None = None
        self.silent = False
        """Whether we have told this side that nothing more will come."""
        self._heard = 0
        """Bytes that this side has said."""
        self.under_way = 0
        """Of them, those that have not landed."""
        self._acts = 0
        """How many chunks and ends have not landed."""
        self._free = self._lands = 0.0
        """When the line has room again, and when the last chunk lands."""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # for the type checker
        self._transport = transport
        if self._link.other(self)._transport is None:  # noqa: SLF001  # its twin
            transport.pause_reading()
        self._link.opened(self)

    @override
    def data_received(self, data: bytes) -> None:
        """Pass on what this side says, as the faults have it."""
        toxics = self._toxics
        if toxics.swallow:
            return
        if toxics.lose:
            self._link.proxy.lost()
            return
        before, self._heard = self._heard, self._heard + len(data)
        data = corrupted(data, before, toxics.corrupt_every)
        cut = toxics.cut_after is not None and self._heard >= toxics.cut_after
        for piece in pieces(data[: toxics.cut_after - before] if toxics.cut_after is not None else data, toxics):
            self.under_way += len(piece)
            self._later(partial(self._land, piece), size=len(piece))
        if cut:
            self._later(self._link.reset)
        if self.under_way > WINDOW and self._transport:
            self._transport.pause_reading()

    @override
    def eof_received(self) -> bool:
        """Pass on that this side has said everything; it still listens."""
        if not self._toxics.swallow:
            self._later(self._link.other(self).finish)
        return True

    @override
    def connection_lost(self, error: Exception | None) -> None:
        """Pass on that the connection is broken."""
        if error is not None and not self._toxics.swallow:
            self._link.reset()

    @override
    def pause_writing(self) -> None:
        """This side reads too slowly: let the other wait."""
        self._link.other(self).wait()

    @override
    def resume_writing(self) -> None:
        """This side reads again."""
        self._link.other(self).go_on()

    def wait(self) -> None:
        """Read no more for now."""
        if self._transport:
            self._transport.pause_reading()

    def go_on(self) -> None:
        """Read again, unless too much is under way."""
        if self._transport and self.under_way <= WINDOW:
            self._transport.resume_reading()

    def finish(self) -> None:
        """Tell this side that nothing more will come."""
        if self._transport and not self.silent and not self._transport.is_closing():
            with suppress(OSError):  # this side has reset the connection meanwhile
                self._transport.write_eof()
        self.silent = True
        self._link.finished()

    def close(self) -> None:
        if self._transport:
            self._transport.close()

    def reset(self) -> None:
        if self._transport:
            reset(self._transport)

    @property
    def port(self) -> int | None:
        """Our port of this connection, by which this side knows it."""
        return self._transport.get_extra_info("sockname")[1] if self._transport else None

    @property
    def _toxics(self) -> Toxics:
        faults = self._link.faults or self._link.proxy.faults
        return faults.up if self._direction == "up" else faults.down

    def _later(self, act: Callable[[], None], *, size: int = 0) -> None:
        """Act when a chunk of `size` bytes would have arrived, and in order."""
        loop, toxics = asyncio.get_running_loop(), self._toxics
        now = loop.time()
        self._free = max(self._free, now) + (size / toxics.bytes_per_second if toxics.bytes_per_second else 0.0)
        due = self._free + toxics.latency
        if due <= now and not self._acts:
            act()
            return
        self._acts += 1
        self._lands = max(self._lands + _TICK, due)
        loop.call_at(self._lands, self._arrive, act)

    def _arrive(self, act: Callable[[], None]) -> None:
        self._acts -= 1
        act()

    def _land(self, data: bytes) -> None:
        self.under_way -= len(data)
        other = self._link.other(self)._transport  # noqa: SLF001  # its twin
        if other is None or other.is_closing():
            self.reset()
            return
        other.write(data)
        if not other.get_write_buffer_size():
            self.go_on()
