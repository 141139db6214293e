"""One request to a receiver, through the outbound guard."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from chatfleet_api.http.connection import BrokenError
from chatfleet_api.http.pool import ConnectionPool

REQUEST_SECONDS: Final = 10.0
"""For the whole response, within which a receiver must acknowledge an event."""
MAX_RESPONSE_BYTES: Final = 65_536
"""Of a response that is read, so that its connection can be used again."""


class DeliveryError(Exception):
    """The receiver has not acknowledged the event; its text is the reason."""


async def post(pool: ConnectionPool, url: str, headers: Mapping[str, str], body: bytes) -> None:
    """Send an event; raises `DeliveryError` unless the receiver acknowledges it by a status 2xx."""
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            status = await _status(pool, url, {**headers, **_HEADERS}, body)
    except TimeoutError:
        raise DeliveryError(f"it has not responded within {REQUEST_SECONDS:g} s") from None
    except (OSError, ValueError, BrokenError) as error:
        raise DeliveryError(str(error) or type(error).__name__) from None
    if HTTPStatus(300) <= status < HTTPStatus.BAD_REQUEST:
        raise DeliveryError(f"it redirects (HTTP {status}), which is not followed")
    if not HTTPStatus.OK <= status < HTTPStatus(300):
        raise DeliveryError(f"it responded with HTTP {status}")


async def _status(pool: ConnectionPool, url: str, headers: Mapping[str, str], body: bytes) -> int:
    connection = await pool.request("POST", url, headers, body, connect_seconds=REQUEST_SECONDS)
    size = 0
    try:
        while part := await connection.read():
            size += len(part)
            if size > MAX_RESPONSE_BYTES:
                connection.close()
                break
    except BaseException:
        connection.close()
        raise
    pool.release(connection)
    return connection.status


_HEADERS: Final = {"Content-Type": "application/json", "User-Agent": "chatfleet"}
