"""A tunnel through an HTTP proxy: CONNECT (RFC 9110, section 9.3.6)."""

import asyncio
import re
import socket
from typing import Final

from chatfleet_api.http.connection import Origin

MAX_HEAD_BYTES: Final = 16_384
"""Limit of the proxy's answer."""
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[ \r]")


class ProxyError(OSError):
    """The proxy opens no tunnel; the message has its answer and the remedy."""


async def open_tunnel(connected: socket.socket, host: str, port: int, proxy: Origin) -> None:
    """Make `connected`, a connection to `proxy`, one to `host`; raises `ProxyError`."""
    loop = asyncio.get_running_loop()
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    await loop.sock_sendall(connected, f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode("ascii"))
    head = b""
    while b"\r\n\r\n" not in head:
        part = await loop.sock_recv(connected, MAX_HEAD_BYTES)
        head += part
        if not part or len(head) > MAX_HEAD_BYTES:
            break
    status = _STATUS.match(head)
    # The server waits for the client's first bytes: what follows the head would be the proxy's own.
    if status is None or not head.endswith(b"\r\n\r\n") or head.count(b"\r\n\r\n") > 1:
        raise ProxyError(
            f"the proxy {proxy.host}:{proxy.port} sent no answer of an HTTP proxy; correct egress.proxyURL"
        )
    if not status[1].startswith(b"2"):
        raise ProxyError(
            f"the proxy {proxy.host}:{proxy.port} answered CONNECT {authority} with HTTP {status[1].decode()}; allow"
            " the host in the proxy, or add it to egress.noProxy"
        )
