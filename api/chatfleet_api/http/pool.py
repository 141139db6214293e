"""Connection pool of a pod for all its upstreams: connections are opened on demand, reused, closed when idle."""

import asyncio
from collections.abc import Mapping
from typing import Final

from chatfleet_api.http.connection import BrokenError, Connection, Origin
from chatfleet_api.http.egress.dialer import Dialer
from chatfleet_api.http.urls import usable

IDLE_SECONDS: Final = 4.0
"""Idle timeout: shorter than the 5 s of Node.js, uvicorn and hypercorn, the shortest of common servers."""


class ConnectionPool:
    """Sends requests over pooled connections.

    Its dialer decides which servers may be reached, when a connection is opened: all URLs of a pool are of one source.
    It has no limit (each provider has one), and uses no proxy or credentials of the environment and no cookies. It
    follows no redirect: the URL of one is a new request, to be checked as such.
    """

    def __init__(self, dialer: Dialer | None = None) -> None:
        """Open connections with `dialer`; unset: to what needs no permission, until `use`."""
        self._dialer = dialer or Dialer()
        self._idle: dict[Origin, list[tuple[Connection, asyncio.TimerHandle]]] = {}

    @property
    def dialer(self) -> Dialer:
        return self._dialer

    def use(self, dialer: Dialer) -> None:
        """Open new connections with `dialer`. Open ones carry their response to its end, and are not reused."""
        self.close()
        self._dialer = dialer

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"", *, connect_seconds: float
    ) -> Connection:
        """Send a request, and return the connection when the head of its response has come; `release` it afterwards.

        Raises:
            TimeoutError: no connection within `connect_seconds`.
            OSError: the connection failed, or the URL cannot be used.
            BrokenError: the connection ended before the head of the response.
        """
        origin, host, target = usable(url)
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
        if not connection.reusable or connection.opened_by is not self._dialer:
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
        dialer = self._dialer
        connected, tls = await dialer.dial(origin)
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Connection(origin, opened_by=dialer),
                sock=connected,
                ssl=tls,
                server_hostname=origin.host if tls else None,
            )
        except BaseException:
            connected.close()
            raise
        return connection


async def _exchange(connection: Connection, request: bytes) -> Connection:
    try:
        await connection.send(request)
    except BaseException:  # cancellation too: a half-sent request makes the connection unusable
        connection.close()
        raise
    return connection


def _request(line: str, headers: Mapping[str, str], body: bytes) -> bytes:
    fields = {**headers, "Content-Length": str(len(body))} if body else headers
    lines = [line, *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    head = "\r\n".join(lines)
    if not head.count("\r") == head.count("\n") == len(lines) - 1:
        raise ValueError("a header contains a line break")
    return head.encode("ascii") + body
