"""The credential in the headers of a request. Pure."""

from collections.abc import Iterable
from typing import Final

AUTHORIZATION: Final = b"authorization"
_BEARER: Final = b"bearer "
_OTHERS: Final = (b"x-api-key", b"api-key")
"""Headers of Anthropic's SDKs and of Azure's."""


def credential(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """Return the credential in `headers`; None: there is none, or there are several that differ.

    Of two credentials, a proxy in front may have verified one and this server the other: neither is used.
    """
    found = {value for name, value in ((name, _value(name, value)) for name, value in headers) if value}
    return found.pop() if len(found) == 1 else None


def _value(name: bytes, value: bytes) -> bytes:
    """Return the credential in a header; empty: it has none."""
    if name == AUTHORIZATION:
        return value[len(_BEARER) :].strip() if value[: len(_BEARER)].lower() == _BEARER else b""
    return value.strip() if name in _OTHERS else b""
