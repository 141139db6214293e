"""Which servers a pod may connect to (docs/decisions/0409). Pure."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from chatfleet_api.http.connection import Origin
from chatfleet_api.http.egress.addresses import Address, Kind, kinds_of
from chatfleet_api.http.egress.hosts import NO_HOSTS, Hosts, is_cluster_name, is_metadata_name, literal_of
from chatfleet_api.http.urls import parse_url
from chatfleet_contract.runtime import RuntimeEgress


class EgressRefusedError(OSError):
    """The guard refuses a connection; the message has the reason and the remedy."""


class Source(Enum):
    """Where a URL came from."""

    RESOURCE = "resource"
    """The ChatDeployment: its author may name servers inside the cluster."""
    ELSEWHERE = "elsewhere"
    """A client, a model, or the response of a server: it may name what the internet has, and `egress.allow`."""
    PLATFORM = "platform"
    """The environment that the platform gives to the pod: it may name the agents of the node that its client allows."""


_NEVER: Final = frozenset({Kind.METADATA, Kind.LINK_LOCAL, Kind.UNSPECIFIED, Kind.MULTICAST})
_REFUSED: Final = {
    Source.RESOURCE: _NEVER,
    Source.ELSEWHERE: _NEVER | {Kind.LOOPBACK},
    Source.PLATFORM: _NEVER - {Kind.METADATA, Kind.LINK_LOCAL},
}
"""Refused whatever is allowed."""
_TRUSTED: Final[dict[Source, frozenset[Kind]]] = {
    Source.RESOURCE: frozenset({Kind.PUBLIC, Kind.PRIVATE}),
    Source.ELSEWHERE: frozenset({Kind.PUBLIC}),
    Source.PLATFORM: frozenset(),
}
"""What needs no permission."""


@dataclass(frozen=True)
class Egress:
    """The settings of all connections of a pod."""

    allow: Hosts = NO_HOSTS
    proxy: Origin | None = None
    no_proxy: Hosts = NO_HOSTS
    ca_bundle: Path | None = None

    @classmethod
    def of(cls, settings: RuntimeEgress) -> "Egress":
        """Read the settings of the runtime configuration; raise `ValueError` when the proxy's URL cannot be used."""
        return cls(
            allow=Hosts.of(settings.allow),
            proxy=None if settings.proxy_url is None else _proxy(settings.proxy_url),
            no_proxy=Hosts.of(settings.no_proxy),
            ca_bundle=None if settings.ca_bundle_file is None else Path(settings.ca_bundle_file),
        )

    def proxy_for(self, host: str) -> Origin | None:
        """Return the proxy that leads to `host`; None: connect to it directly, as to all names of the cluster."""
        return None if is_cluster_name(host) or self.no_proxy.has_name(host) else self.proxy

    def require_host(self, host: str, source: Source) -> None:
        """Raise `EgressRefusedError` for a host that is refused by its name, before it is resolved."""
        if is_metadata_name(host):
            raise _refused(host, Kind.METADATA, may_be_allowed=False)
        if (address := literal_of(host)) is not None:
            self.require_address(host, address, source)
        elif source is Source.ELSEWHERE and is_cluster_name(host) and not self.allow.has_name(host):
            raise _refused(host, Kind.PRIVATE, may_be_allowed=True)

    def require_address(self, host: str, address: Address, source: Source) -> None:
        """Raise `EgressRefusedError` when `host` must not be reached at `address`."""
        kinds = kinds_of(address)
        where = host if str(address) == host else f"{host} ({address})"
        for kind in sorted(kinds & _REFUSED[source]):
            raise _refused(where, kind, may_be_allowed=False)
        if self.allow.has_name(host) or self.allow.has_address(address):
            return
        for kind in sorted(kinds - _TRUSTED[source]):
            raise _refused(where, kind, may_be_allowed=True)


def _proxy(url: str) -> Origin:
    origin, _, _ = parse_url(url)
    if origin.scheme != "http":
        raise ValueError(f"egress.proxyURL {url!r} must begin with http://")
    return origin


def _refused(where: str, kind: Kind, *, may_be_allowed: bool) -> EgressRefusedError:
    remedy = "add the host to egress.allow, or use another host" if may_be_allowed else "use another host"
    return EgressRefusedError(f"connections to {where} are refused, because it leads to {kind}; {remedy}")
