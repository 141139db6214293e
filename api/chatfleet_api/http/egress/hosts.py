"""Lists of hosts, as the resource has them, and what a host's name shows about it. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final

from chatfleet_api.http.egress.addresses import Address, Network

_METADATA: Final = frozenset(
    (
        *("metadata", "metadata.google.internal", "metadata.goog", "metadata.tencentyun.com"),
        *("instance-data", "instance-data.ec2.internal"),
    )
)
"""Names of metadata services, which a proxy would resolve."""
_CLUSTER_DOMAINS: Final = (".svc", ".cluster.local", ".localhost")


@dataclass(frozen=True)
class Hosts:
    """Hosts by name, by suffix, and by range of addresses."""

    names: frozenset[str] = frozenset()
    suffixes: tuple[str, ...] = ()
    """Each with its leading dot."""
    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, entries: Iterable[str]) -> "Hosts":
        """Read entries such as `llm.example.com`, `.example.com`, `10.1.2.3` and `10.0.0.0/8`."""
        names, suffixes, networks = set[str](), list[str](), list[Network]()
        for entry in map(canonical, entries):
            try:
                networks.append(ip_network(entry, strict=False))
            except ValueError:
                if entry.startswith("."):
                    suffixes.append(entry)
                else:
                    names.add(entry)
        return cls(frozenset(names), tuple(suffixes), tuple(networks))

    def has_name(self, host: str) -> bool:
        """Whether `host` is listed by its name or a suffix of it, or is an address of a range."""
        name, literal = canonical(host), literal_of(host)
        if literal is not None:
            return self.has_address(literal)
        return name in self.names or name.endswith(self.suffixes)

    def has_address(self, address: Address) -> bool:
        """Whether `address` is of a range."""
        return any(address in network for network in self.networks)


NO_HOSTS: Final = Hosts()


def canonical(host: str) -> str:
    """Return the one spelling of a host's name that is compared."""
    return host.lower().removesuffix(".")


def literal_of(host: str) -> Address | None:
    """Return the address that `host` is; None: it is a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def is_metadata_name(host: str) -> bool:
    """Whether `host` is the name of a metadata service."""
    return canonical(host) in _METADATA


def is_cluster_name(host: str) -> bool:
    """Whether `host` is a name that only the cluster, its node or the pod resolves, such as that of a Service."""
    name = canonical(host)
    return literal_of(host) is None and ("." not in name or name.endswith(_CLUSTER_DOMAINS))
