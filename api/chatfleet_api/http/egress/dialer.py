"""Opens connections: to addresses that were checked and to no others, or through the proxy."""

import socket
import ssl
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Final, NamedTuple, TypeAlias

from aiohappyeyeballs import start_connection

from chatfleet_api.http.connection import Origin
from chatfleet_api.http.egress.policy import Egress, Source
from chatfleet_api.http.egress.proxy import open_tunnel
from chatfleet_api.http.egress.resolver import Addresses, Resolver
from chatfleet_api.http.egress.trust import Trust

HAPPY_EYEBALLS_SECONDS: Final = 0.25
"""Happy Eyeballs: delay between the attempts at two addresses (RFC 8305)."""

Resolve: TypeAlias = Callable[[str, int], Awaitable[Addresses]]
Connect: TypeAlias = Callable[[Addresses], Awaitable[socket.socket]]


class Dialed(NamedTuple):
    """An open connection, before TLS."""

    socket: socket.socket
    tls: ssl.SSLContext | None


async def connect(addresses: Addresses) -> socket.socket:
    """Connect to the first of `addresses` that accepts, without DNS."""
    return await start_connection(addresses, happy_eyeballs_delay=HAPPY_EYEBALLS_SECONDS)


class Dialer:
    """Connects to servers whose URLs came from one source, under one policy."""

    def __init__(
        self,
        egress: Egress = Egress(),  # noqa: B008  # immutable
        source: Source = Source.RESOURCE,
        *,
        resolve: Resolve | None = None,
        connect: Connect = connect,
    ) -> None:
        self.egress = egress
        self._source = source
        self._resolve = resolve or Resolver(absolute=source is Source.ELSEWHERE)
        self._resolve_proxy = resolve or Resolver()
        self._connect = connect
        self._trust = Trust(egress.ca_bundle)

    async def dial(self, origin: Origin) -> Dialed:
        """Connect to `origin`.

        Raises:
            EgressRefusedError: the policy refuses the host or one of its addresses.
            OSError: the connection failed, or the proxy or the CA bundle cannot be used.
        """
        self.egress.require_host(origin.host, self._source)
        tls = self._trust.context() if origin.scheme == "https" else None
        proxy = self.egress.proxy_for(origin.host)
        if proxy is None:
            return Dialed(await self._connect(await self._checked(origin)), tls)
        return Dialed(await self._tunnel(origin, proxy), tls)

    async def _checked(self, origin: Origin) -> Addresses:
        """Return the addresses of `origin` if all may be reached: one that is refused beside others is an attempt."""
        addresses = await self._resolve(origin.host, origin.port)
        for *_, address in addresses:
            self.egress.require_address(origin.host, ip_address(address[0]), self._source)
        return addresses

    async def _tunnel(self, origin: Origin, proxy: Origin) -> socket.socket:
        """Connect to `origin` through `proxy`, which resolves the names of the resource, and no others."""
        host = origin.host
        if self._source is not Source.RESOURCE:
            host = (await self._checked(origin))[0][-1][0]
        addresses = await self._resolve_proxy(proxy.host, proxy.port)
        for *_, address in addresses:
            self.egress.require_address(proxy.host, ip_address(address[0]), Source.RESOURCE)
        connected = await self._connect(addresses)
        try:
            await open_tunnel(connected, host, origin.port, proxy)
        except BaseException:  # cancellation too
            connected.close()
            raise
        return connected
