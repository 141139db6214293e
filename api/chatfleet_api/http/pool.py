"""Connection pool of a pod for all its upstreams: connections are opened on demand, reused, closed when idle."""

import asyncio
import socket
import ssl
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, Final, TypeAlias
from urllib.parse import quote, urlsplit

from aiohappyeyeballs import start_connection

from chatfleet_api.http.connection import BrokenError, Connection, Origin

IDLE_SECONDS: Final = 4.0
"""Idle timeout: shorter than the 5 s of Node.js, uvicorn and hypercorn, the shortest of common servers."""
DNS_SECONDS: Final = 10.0
"""How long a DNS answer is used: a thousand connections that open at once resolve the name once."""
HAPPY_EYEBALLS_SECONDS: Final = 0.25
"""Happy Eyeballs: delay between the attempts at two addresses (RFC 8305)."""

Addresses: TypeAlias = list[tuple[Any, ...]]


class UnusableURLError(OSError):
    """No request can be sent to a URL: its port is out of range, or its host is not a host name in ASCII."""


class ConnectionPool:
    """Sends requests over pooled connections.

    It has no limit (each provider has one), and uses no proxy or credentials of the environment, no cookies and no
    redirects.
    """

    def __init__(self) -> None:
        self._idle: dict[Origin, list[tuple[Connection, asyncio.TimerHandle]]] = {}
        self._names: dict[tuple[str, int], tuple[float, asyncio.Task[Addresses]]] = {}

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"", *, connect_seconds: float
    ) -> Connection:
        """Send a request, and return the connection when the head of its response has come; `release` it afterwards.

        Raises:
            TimeoutError: no connection within `connect_seconds`.
            OSError: the connection failed, or the URL cannot be used.
            BrokenError: the connection ended before the head of the response.
        """
        origin, host, target = _usable(url)
        request = _request(f"{method} {target} HTTP/1.1", {"Host": host, **headers}, body)
        return await self.send(origin, request, connect_seconds=connect_seconds)

    async def send(self, origin: Origin, request: bytes, *, connect_seconds: float) -> Connection:
        """Send a request that is serialized already; as `request`.

        A reused connection that ends before any byte is replaced by a new one, once: the server has closed it while the
        request was on its way (RFC 9112, section 9.3.1).
        """
        reused = self._acquire(origin)
        if reused is not None:
            try:
                return await _exchange(reused, request)
            except BrokenError:
                if reused.answered:
                    raise
        async with asyncio.timeout(connect_seconds):
            connection = await self._connect(origin)
        return await _exchange(connection, request)

    def release(self, connection: Connection) -> None:
        """Return a connection to the pool, or close it if it cannot be reused."""
        if not connection.reusable:
            connection.close()
            return
        idle = self._idle.setdefault(connection.origin, [])
        until = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._drop, idle)
        idle.append((connection, until))

    def close(self) -> None:
        """Close all idle connections."""
        for idle in self._idle.values():
            for connection, until in idle:
                until.cancel()
                connection.close()
        self._idle.clear()

    def _acquire(self, origin: Origin) -> Connection | None:
        """Return the idle connection that was used last."""
        idle = self._idle.get(origin, [])
        while idle:
            connection, until = idle.pop()
            until.cancel()
            if connection.reusable:
                return connection
        return None

    def _drop(self, idle: list[tuple[Connection, asyncio.TimerHandle]]) -> None:
        """Close the connection that was idle for longest."""
        connection, _ = idle.pop(0)
        connection.close()

    async def _connect(self, origin: Origin) -> Connection:
        addresses = await self._addresses(origin.host, origin.port)
        connected = await start_connection(addresses, happy_eyeballs_delay=HAPPY_EYEBALLS_SECONDS)
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Connection(origin),
                sock=connected,
                ssl=tls_context() if origin.scheme == "https" else None,
                server_hostname=origin.host if origin.scheme == "https" else None,
            )
        except BaseException:
            connected.close()
            raise
        return connection

    async def _addresses(self, host: str, port: int) -> Addresses:
        """Resolve a name, once for all callers; when one is cancelled, the others get the result."""
        loop = asyncio.get_running_loop()
        until, resolving = self._names.get((host, port), (0.0, None))
        if resolving is None or loop.time() > until or (resolving.done() and resolving.exception()):
            resolving = loop.create_task(_resolve(host, port))
            self._names[host, port] = (loop.time() + DNS_SECONDS, resolving)
        return await asyncio.shield(resolving)


async def _exchange(connection: Connection, request: bytes) -> Connection:
    try:
        await connection.send(request)
    except BaseException:  # cancellation too: a half-sent request makes the connection unusable
        connection.close()
        raise
    return connection


async def _resolve(host: str, port: int) -> Addresses:
    try:
        return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label that is empty or longer than 63 characters
        raise UnusableURLError(f"{host!r} is not a host name") from error


def _usable(url: str) -> tuple[Origin, str, str]:
    try:
        parts = parse_url(url)
    except (ValueError, KeyError) as error:
        raise UnusableURLError(f"{url!r} is not a URL that can be used: {error}") from None
    if not parts[1].isascii():
        raise UnusableURLError(f"the host of {url!r} is not in ASCII; write it in its xn-- form")
    return parts


@lru_cache(maxsize=1024)
def parse_url(url: str) -> tuple[Origin, str, str]:
    """Return the server, the header `Host`, and the request target."""
    parts = urlsplit(url)
    origin = Origin(parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}[parts.scheme])
    target = quote(parts.path, safe="/%:@!$&'()*+,;=~") + (parts.query and f"?{parts.query}")
    return origin, parts.netloc, target


def _request(line: str, headers: Mapping[str, str], body: bytes) -> bytes:
    fields = {**headers, "Content-Length": str(len(body))} if body else headers
    lines = [line, *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    head = "\r\n".join(lines)
    if not head.count("\r") == head.count("\n") == len(lines) - 1:
        raise ValueError("a header contains a line break")
    return head.encode("ascii") + body


@cache
def tls_context() -> ssl.SSLContext:
    """Return a context with the CAs of the system, or of `SSL_CERT_FILE`. Read at first use, which takes 30 ms."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
