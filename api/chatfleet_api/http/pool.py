"""The connections of a pod to all its upstreams: opened when they are needed, kept for a while, never shared."""

import asyncio
import socket
import ssl
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, Final, TypeAlias
from urllib.parse import quote, urlsplit

from aiohappyeyeballs import start_connection

from chatfleet_api.http.connection import Connection, Origin

KEEP_SECONDS: Final = 15.0
"""How long a connection is kept that nobody uses; servers and load balancers give up on them after 60 s and more."""
NAME_SECONDS: Final = 10.0
"""How long the addresses of a name are used: a thousand connections that open at once ask for it once."""
SECOND_TRY_SECONDS: Final = 0.25
"""How much later than an address the next one is tried besides (RFC 8305)."""

Addresses: TypeAlias = list[tuple[Any, ...]]


class ConnectionPool:
    """Asks over connections that it keeps.

    It knows no limit (each provider has one), no proxy or credentials of the environment, no cookies and no redirects.
    """

    def __init__(self) -> None:
        self._kept: dict[Origin, list[tuple[Connection, asyncio.TimerHandle]]] = {}
        self._names: dict[tuple[str, int], tuple[float, asyncio.Task[Addresses]]] = {}

    async def ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"", *, connect_seconds: float
    ) -> Connection:
        """Send a request, and return the connection on which the head of its answer has come; `leave` it afterwards.

        Raises:
            TimeoutError: no connection came about within `connect_seconds`.
            OSError: nobody is there.
            BrokenError: whoever is there gave no answer.
        """
        origin, host, target = parsed(url)
        request = _request(f"{method} {target} HTTP/1.1", {"Host": host, **headers}, body)
        return await self.send(origin, request, connect_seconds=connect_seconds)

    async def send(self, origin: Origin, request: bytes, *, connect_seconds: float) -> Connection:
        """Do the same with a request that is written already."""
        connection = self._take(origin)
        if connection is None:
            async with asyncio.timeout(connect_seconds):
                connection = await self._connect(origin)
        try:
            await connection.ask(request)
        except BaseException:
            connection.close()
            raise
        return connection

    def leave(self, connection: Connection) -> None:
        """Keep a connection, if it can be used again, or close it."""
        if not connection.reusable:
            connection.close()
            return
        kept = self._kept.setdefault(connection.origin, [])
        until = asyncio.get_running_loop().call_later(KEEP_SECONDS, self._drop, kept)
        kept.append((connection, until))

    def close(self) -> None:
        """Close what is kept."""
        for kept in self._kept.values():
            for connection, until in kept:
                until.cancel()
                connection.close()
        self._kept.clear()

    def _take(self, origin: Origin) -> Connection | None:
        """Return the connection that was used last, if any is kept."""
        kept = self._kept.get(origin, [])
        while kept:
            connection, until = kept.pop()
            until.cancel()
            if connection.reusable:
                return connection
        return None

    def _drop(self, kept: list[tuple[Connection, asyncio.TimerHandle]]) -> None:
        """Close the one that has been kept for longest."""
        connection, _ = kept.pop(0)
        connection.close()

    async def _connect(self, origin: Origin) -> Connection:
        addresses = await self._addresses(origin.host, origin.port)
        connected = await start_connection(addresses, happy_eyeballs_delay=SECOND_TRY_SECONDS)
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Connection(origin),
                sock=connected,
                ssl=trusted() if origin.scheme == "https" else None,
                server_hostname=origin.host if origin.scheme == "https" else None,
            )
        except BaseException:
            connected.close()
            raise
        return connection

    async def _addresses(self, host: str, port: int) -> Addresses:
        """Ask for the addresses of a name, once for all who want to know; what one caller cancels the others get."""
        loop = asyncio.get_running_loop()
        until, asking = self._names.get((host, port), (0.0, None))
        if asking is None or loop.time() > until or (asking.done() and asking.exception()):
            asking = loop.create_task(_resolved(host, port))
            self._names[host, port] = (loop.time() + NAME_SECONDS, asking)
        return await asyncio.shield(asking)


async def _resolved(host: str, port: int) -> Addresses:
    return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)


@lru_cache(maxsize=1024)
def parsed(url: str) -> tuple[Origin, str, str]:
    """Return whom to connect to, the header `Host`, and what to ask for there."""
    parts = urlsplit(url)
    origin = Origin(parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}[parts.scheme])
    target = quote(parts.path, safe="/%:@!$&'()*+,;=~") + (parts.query and f"?{parts.query}")
    return origin, parts.netloc, target


def _request(line: str, headers: Mapping[str, str], body: bytes) -> bytes:
    fields = {**headers, "Content-Length": str(len(body))} if body else headers
    lines = [line, *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    head = "\r\n".join(lines)
    if not head.count("\r") == head.count("\n") == len(lines) - 1:
        raise ValueError("a header holds a line break")
    return head.encode("ascii") + body


@cache
def trusted() -> ssl.SSLContext:
    """Return who is trusted: whom the system trusts, or `SSL_CERT_FILE` names. Read at first use, which takes 30 ms."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
