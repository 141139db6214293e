"""Hostile URLs: each leads to where no client may send a pod, and is written so that a simple check misses it."""

import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from chatfleet_api.http.egress.resolver import Addresses

METADATA: Final = ("169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192")
NEVER: Final = (*METADATA, "169.254.0.1", "0.0.0.0", "0.1.2.3", "224.0.0.1", "239.255.255.250", "255.255.255.255")  # noqa: S104  # not bound to
"""Refused whatever the resource allows, and whoever names it."""
LOOPBACKS: Final = ("127.0.0.1", "127.1.2.3")
PRIVATE: Final = ("10.0.0.1", "10.96.0.1", "172.16.0.1", "172.31.255.254", "192.168.1.1", "100.64.0.1", "198.18.0.1")
TARGETS: Final = (*NEVER, *LOOPBACKS, *PRIVATE)

IPV6: Final = (
    *("::", "::1", "fe80::1", "febf::1", "fe80::a9fe:a9fe", "ff02::1", "ff0e::1", "fd00:ec2::254", "fd20:ce::254"),
    *("fc00::1", "fd00::1", "fec0::1", "64:ff9b:1::a00:1", "100::1", "2001:db8::1", "fd00:42::42", "fd00:ec2::23"),
)
NAMES: Final = (
    *("localhost", "LOCALHOST.", "a.localhost", "kubernetes", "kubernetes.default.svc", "kubernetes.default.svc."),
    *("kubernetes.default.svc.cluster.local", "support-redis.shop.svc", "REDIS.team.SVC", "redis", "metadata"),
    *("metadata.google.internal", "Metadata.Google.Internal.", "metadata.goog", "instance-data.ec2.internal"),
)
"""Names that show where they lead."""
PUBLIC: Final = "93.184.216.34"

FULL_WIDTH: Final = str.maketrans("0123456789", "".join(map(chr, range(0xFF10, 0xFF1A))))
CIRCLED: Final = str.maketrans("123456789", "".join(map(chr, range(0x2460, 0x2469))))
DOTS: Final = "\u3002\uff0e\uff61"
"""Dots that IDNA reads as one."""


def spellings(address: str) -> Iterator[str]:
    """Yield hosts that some resolver or library reads as `address`."""
    number, parts = int(IPv4Address(address)), [int(part) for part in address.split(".")]
    first, second, third, fourth = parts
    yield from (address, f"{address}.", str(number), hex(number), f"0X{number:08x}", f"0{number:o}")
    yield from (".".join(map(hex, parts)), ".".join(f"0{part:o}" for part in parts))
    yield from (".".join(f"{part:03}" for part in parts), ".".join(f"0000{part:o}" for part in parts))
    yield from (f"{first}.{number & 0xFFFFFF}", f"{first}.{second}.{number & 0xFFFF}")
    yield from (f"0x{first:x}.{second}.0{third:o}.{fourth}", str(number + (1 << 32)))
    yield from (address.translate(FULL_WIDTH), address.translate(CIRCLED))
    yield from (address.replace(".", dot) for dot in DOTS)
    yield from ("".join(f"%{ord(char):02x}" for char in address), address.replace(".", "%2e"))


def wrapped(address: str) -> Iterator[str]:
    """Yield IPv6 addresses with `address` inside."""
    number = int(IPv4Address(address))
    high, low = number >> 16, number & 0xFFFF
    yield f"::ffff:{address}"
    yield f"::ffff:{high:x}:{low:x}"
    yield f"0:0:0:0:0:ffff:{high:x}:{low:x}"
    yield f"::ffff:0:{high:x}:{low:x}"
    yield f"64:ff9b::{address}"
    yield f"2002:{high:x}:{low:x}::1"
    yield str(IPv6Address((0x2001_0000 << 96) | (number << 64) | (int(IPv4Address(PUBLIC)) ^ 0xFFFF_FFFF)))
    yield str(IPv6Address((0x2001_0000 << 96) | (int(IPv4Address(PUBLIC)) << 64) | (number ^ 0xFFFF_FFFF)))
    if number > 0xFFFF:
        yield f"::{high:x}:{low:x}"


def disguises(address: str) -> Iterator[str]:
    """Yield URLs whose readers do not agree on the host."""
    yield from (
        f"https://example.com@{address}/",
        f"https://example.com:443@{address}/",
        f"https://{address}\\@example.com/",
    )
    yield from (f"https://{address}#@example.com/", f"https://{address}?@example.com/", f"https:\\\\{address}/")
    yield from (f"https://example.com\\@{address}/", f"https://user:{PUBLIC}@{address}:80@{PUBLIC}\\/")
    yield from (f"https://{address}\t/", f" https://{address}/", f"https://{address}\r\nHost: example.com/")
    yield from (
        f"https:///{address}/",
        f"file://{address}/etc/passwd",
        f"gopher://{address}:6379/_INFO",
        f"//{address}/",
    )


def hosts(addresses: tuple[str, ...] = TARGETS) -> Iterator[str]:
    """Yield the hosts of hostile URLs."""
    for address in addresses:
        yield from spellings(address)
        yield from (f"[{each}]" for each in wrapped(address))


def hostile_urls() -> list[str]:
    """Return all that a client may try."""
    plain = [f"https://{host}/x" for host in (*hosts(), *NAMES, *(f"[{each}]" for each in IPV6), "[fe80::1%25lo]")]
    pointed = [f"http://{name}/" for name in pointers()]
    return [*plain, *(url for address in TARGETS for url in disguises(address)), *pointed]


def pointers() -> dict[str, list[str]]:
    """Return names in the internet whose addresses are not, some beside one that is, or after it (`rebinding-`)."""
    targets = [*TARGETS, *IPV6, *(each for address in TARGETS for each in wrapped(address))]
    found: dict[str, list[str]] = {}
    for index, address in enumerate(targets):
        found[f"pointing-{index}.example.com"] = [address]
        found[f"mixed-{index}.example.com"] = [PUBLIC, address]
    return found


class HostileDNS:
    """Resolves what `pointers` has and what is an address in any spelling; `rebinding` names change at each answer."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._names = pointers()

    async def __call__(self, host: str, port: int) -> Addresses:
        """Return addresses as `getaddrinfo` does; raise `OSError` for a name that is unknown."""
        self.asked.append(host)
        if host.startswith("rebinding-"):
            return _infos([PUBLIC, "169.254.169.254"][(self.asked.count(host) - 1) % 2], port)
        if host in self._names:
            return [info for address in self._names[host] for info in _infos(address, port)]
        return _infos(host, port)


def _infos(host: str, port: int) -> Addresses:
    """As `getaddrinfo` of an address, in all spellings that C reads (`inet_aton`)."""
    bare, _, zone = host.partition("%")
    if ":" in bare:
        socket.inet_pton(socket.AF_INET6, bare)
        return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", (bare, port, 0, int(bool(zone))))]
    try:
        address = socket.inet_ntoa(socket.inet_aton(host.removesuffix(".")))
    except UnicodeError as error:
        raise OSError(str(error)) from error
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]
