"""URLs that requests are sent to: read once, and only in one way. Pure."""

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Final
from urllib.parse import quote, urlsplit

from chatfleet_api.http.connection import Origin

_PORTS: Final = {"http": 80, "https": 443}
_NUMBER: Final = re.compile(r"(0x[0-9a-f]*|[0-9]+)\Z")
"""The last label of what resolvers read as an IPv4 address: 127.1, 0x7f000001, 2130706433."""
_AMBIGUOUS: Final = re.compile(r"[\x00-\x20\x7f\\]")
"""Programs do not agree on what these mean in a URL."""


class UnusableURLError(OSError):
    """No request can be sent to a URL: its port is out of range, or its host is not a host name in ASCII."""


def usable(url: str) -> tuple[Origin, str, str]:
    """As `parse_url`; raises `UnusableURLError`."""
    try:
        return parse_url(url)
    except (ValueError, KeyError) as error:
        raise UnusableURLError(f"{url!r} is not a URL that can be used: {error}") from None


@lru_cache(maxsize=1024)
def parse_url(url: str) -> tuple[Origin, str, str]:
    """Return the server, the header `Host`, and the request target; raise `ValueError` or `KeyError`."""
    parts = urlsplit(url)
    origin = Origin(parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme])
    if _AMBIGUOUS.search(url):
        raise ValueError("it has a space, a control character or a backslash; remove it")
    if "@" in parts.netloc:
        raise ValueError("it has a user; remove all up to the @")
    if not parts.netloc.isascii():
        raise ValueError("its host is not in ASCII; write it in its xn-- form")
    _require_host(origin.host)
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~") + (parts.query and f"?{parts.query}")
    return origin, parts.netloc, target


def _require_host(host: str) -> None:
    if not host:
        raise ValueError("it has no host")
    if "%" in host:
        raise ValueError("its host has a %; write the host as it is")
    if ":" in host:
        IPv6Address(host)
    elif _NUMBER.match(host.removesuffix(".").rpartition(".")[2]):
        IPv4Address(host)  # in the one form that means the same everywhere
