"""DNS: a name is resolved once for all callers, and its addresses are used for a short time."""

import asyncio
import socket
from typing import Any, Final, TypeAlias

from chatfleet_api.http.egress.hosts import literal_of
from chatfleet_api.http.urls import UnusableURLError

DNS_SECONDS: Final = 10.0
"""How long a DNS answer is used: a thousand connections that open at once resolve the name once."""

Addresses: TypeAlias = list[tuple[Any, ...]]


class Resolver:
    """Resolves the hosts of one dialer."""

    def __init__(self, *, absolute: bool = False) -> None:
        """`absolute`: no search domain of the cluster is appended to a name."""
        self._absolute = absolute
        self._names: dict[tuple[str, int], tuple[float, asyncio.Task[Addresses]]] = {}

    async def __call__(self, host: str, port: int) -> Addresses:
        """Return the addresses of `host`; when one caller is cancelled, the others get the result."""
        loop = asyncio.get_running_loop()
        until, resolving = self._names.get((host, port), (0.0, None))
        if resolving is None or loop.time() > until or (resolving.done() and resolving.exception()):
            resolving = loop.create_task(_resolve(self._name(host), port))
            self._names[host, port] = (loop.time() + DNS_SECONDS, resolving)
        return await asyncio.shield(resolving)

    def _name(self, host: str) -> str:
        return f"{host.rstrip('.')}." if self._absolute and literal_of(host) is None else host


async def _resolve(host: str, port: int) -> Addresses:
    try:
        return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label that is empty or longer than 63 characters
        raise UnusableURLError(f"{host!r} is not a host name") from error
