"""What an IP address leads to, also an IPv4 address inside an IPv6 address. Pure."""

from collections.abc import Iterator
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network


class Kind(StrEnum):
    """What an address leads to, in the words of an error."""

    METADATA = "a metadata service"
    LINK_LOCAL = "a link-local address"
    LOOPBACK = "the pod itself"
    UNSPECIFIED = "no particular host"
    MULTICAST = "many hosts"
    PRIVATE = "a private network"
    PUBLIC = "the internet"


_METADATA: Final = frozenset(
    ip_address(text)
    for text in (
        *("169.254.169.254", "fd00:ec2::254", "fd20:ce::254"),  # most clouds
        *("169.254.170.2", "169.254.170.23", "fd00:ec2::23"),  # credentials of AWS for containers
        *("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:42::42"),  # Alibaba, Azure, Oracle, Scaleway
    )
)
"""Servers that give out credentials of the node or the pod; not all have addresses of a special range."""

_THIS_NETWORK: Final = ip_network("0.0.0.0/8")
_BROADCAST: Final = ip_address("255.255.255.255")
_PRIVATE: Final[tuple[Network, ...]] = tuple(
    map(ip_network, ("192.88.99.0/24", "192.0.0.0/24", "64:ff9b:1::/48", "fec0::/10", "5f00::/16"))
)
"""Ranges that lead to no server of the internet, although `is_global` of some versions of Python takes them."""
_LAST_32_BITS: Final = tuple(map(IPv6Network, ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96")))
"""IPv4-compatible, IPv4-mapped and IPv4-translated addresses, and NAT64: an IPv4 address is at their end."""


def kinds_of(address: Address) -> frozenset[Kind]:
    """Return what `address` leads to; of an IPv6 address with IPv4 addresses inside, what each of these does."""
    return frozenset(_kind(each) for each in _reached(address))


def _reached(address: Address) -> Iterator[Address]:
    """Yield the addresses inside `address`, or `address`."""
    if isinstance(address, IPv4Address) or address.is_loopback or address.is_unspecified:
        yield address
    elif any(address in network for network in _LAST_32_BITS):
        yield IPv4Address(int(address) & 0xFFFF_FFFF)
    elif address.teredo:
        yield from address.teredo
    else:
        yield address.sixtofour or address


def _kind(address: Address) -> Kind:
    bare = address if isinstance(address, IPv4Address) else IPv6Address(int(address))  # no zone
    found = {
        Kind.METADATA: bare in _METADATA,
        Kind.LINK_LOCAL: bare.is_link_local,
        Kind.LOOPBACK: bare.is_loopback,
        Kind.UNSPECIFIED: bare.is_unspecified or bare in _THIS_NETWORK,
        Kind.MULTICAST: bare.is_multicast or bare == _BROADCAST,
        Kind.PRIVATE: not bare.is_global or any(bare in network for network in _PRIVATE),
    }
    return next((kind for kind, applies in found.items() if applies), Kind.PUBLIC)
