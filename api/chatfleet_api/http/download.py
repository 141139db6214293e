"""Fetches what a client names by URL: through the outbound guard, within bounds of time and size.

Each request, also one after a redirect, has a connection of its own, which the guard decides on.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from typing import Final
from urllib.parse import urljoin

from chatfleet_api.domain.downloads import Downloaded, DownloadError, Failure
from chatfleet_api.http.connection import BrokenError, Connection
from chatfleet_api.http.egress.dialer import Dialer
from chatfleet_api.http.egress.policy import Egress, EgressRefusedError, Source
from chatfleet_api.http.pool import ConnectionPool
from chatfleet_api.http.urls import parse_url

SECONDS: Final = 10.0
"""For all of it: connections, redirects, and the body to its end."""
MAX_REDIRECTS: Final = 3
MAX_DOWNLOADS: Final = 32
"""Of a pod at a time: each may have a whole file in memory."""

_HEADERS: Final = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "chatfleet"}
_REDIRECTS: Final = (301, 302, 303, 307, 308)


class Downloader:
    """Fetches for the clients of a pod."""

    def __init__(self, dialer: Callable[[], Dialer]) -> None:
        """`dialer` returns what opens connections to URLs of clients, by the current configuration."""
        self._dialer = dialer
        self._running = Counter[str]()

    async def fetch(self, url: str, *, max_bytes: int, tenant: str) -> Downloaded:
        """Return what is at `url`, following redirects. A tenant has at most as many downloads as are left to others.

        Raises:
            DownloadError: the guard refuses the URL, no whole body came in time, it is too large, or there are too many
                downloads.
        """
        running, own = self._running.total(), self._running[tenant]
        if own >= MAX_DOWNLOADS - running:
            raise DownloadError("busy", f"{running} downloads are under way, {own} of them for the same tenant")
        self._running[tenant] += 1
        try:
            async with asyncio.timeout(SECONDS):
                return await self._follow(url, max_bytes)
        except TimeoutError:
            raise DownloadError("unavailable", f"no whole response within {SECONDS:g} s") from None
        except (OSError, BrokenError) as error:  # also what the guard refuses at its address: a name shows nothing
            raise DownloadError("unavailable", str(error)) from None
        finally:
            self._running -= Counter((tenant,))  # it forgets a tenant that has none

    async def _follow(self, url: str, max_bytes: int) -> Downloaded:
        for _ in range(MAX_REDIRECTS + 1):
            dialer = self._dialer()
            _require(url, dialer.egress)
            connection = await ConnectionPool(dialer).request("GET", url, _HEADERS, connect_seconds=SECONDS)
            try:
                if connection.status not in _REDIRECTS:
                    return await _body(connection, max_bytes)
                url = urljoin(url, connection.headers.get("location", ""))
            finally:
                connection.close()
        raise DownloadError("refused", f"more than {MAX_REDIRECTS} redirects")


def _require(url: str, egress: Egress) -> None:
    """Raise `DownloadError` for a URL that shows by its text that it is not for a client."""
    try:
        origin, _, _ = parse_url(url)
        if origin.scheme != "https":
            raise DownloadError("refused", f"{origin.scheme} is not https")
        egress.require_host(origin.host, Source.ELSEWHERE)
    except (EgressRefusedError, ValueError, KeyError) as error:
        raise DownloadError("refused", str(error)) from None


async def _body(connection: Connection, max_bytes: int) -> Downloaded:
    headers = connection.headers
    if connection.status != HTTPStatus.OK:
        failure: Failure = "not found" if HTTPStatus(400) <= connection.status < HTTPStatus(500) else "unavailable"
        raise DownloadError(failure, f"the server responded with status {connection.status}")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise DownloadError("unavailable", "the body is compressed")
    stated = headers.get("content-length", "")
    if stated.isdecimal() and int(stated[:20]) > max_bytes:
        raise DownloadError("too large", f"the response states {stated[:20]} bytes")
    parts, size = list[bytes](), 0
    while part := await connection.read():
        size += len(part)
        if size > max_bytes:
            raise DownloadError("too large", f"the response has more than {max_bytes} bytes")
        parts.append(part)
    return Downloaded(headers.get("content-type", ""), b"".join(parts))
