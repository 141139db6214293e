"""Fetches the public keys of an issuer over HTTP, through the outbound guard."""

import asyncio
from contextlib import closing
from http import HTTPStatus
from typing import Final

import msgspec

from chatfleet_api.domain.live import Live
from chatfleet_api.http.connection import BrokenError
from chatfleet_api.http.egress.dialer import Dialer
from chatfleet_api.http.egress.policy import Egress, Source
from chatfleet_api.http.pool import ConnectionPool
from chatfleet_api.http.urls import usable
from chatfleet_api.identity.jose import InvalidKeysError, KeySet, load, parse_keys
from chatfleet_contract.runtime import RuntimeEgress
from chatfleet_contract.spec.jwt import JWTIssuer

FETCH_SECONDS: Final = 5.0
"""Time for one document."""
MAX_DOCUMENT_BYTES: Final = 262_144
DISCOVERY: Final = "/.well-known/openid-configuration"


class _Discovery(msgspec.Struct, frozen=True):
    issuer: str
    jwks_uri: str


async def fetch_keys(settings: JWTIssuer, egress: Live[RuntimeEgress]) -> KeySet:
    """Return the keys of an issuer; raises `OSError` or `ValueError`."""
    await load()
    policy = Egress.of(egress())
    if settings.jwks_url is not None:
        return parse_keys(await _fetch(settings.jwks_url, policy, Source.RESOURCE))
    url = settings.issuer.removesuffix("/") + DISCOVERY
    try:
        found = msgspec.json.decode(await _fetch(url, policy, Source.RESOURCE), type=_Discovery)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise InvalidKeysError(f"{url} is no discovery document") from None
    if found.issuer != settings.issuer:
        raise InvalidKeysError(f"{url} is about another issuer; write the issuer exactly as there, or set jwksURL")
    return parse_keys(await _fetch(found.jwks_uri, policy, _source(found.jwks_uri, settings.issuer)))


def _source(url: str, issuer: str) -> Source:
    """Return where the URL of keys came from: that of the issuer's own server is as good as the resource's."""
    if usable(url)[0] == usable(issuer)[0]:
        return Source.RESOURCE
    if not url.startswith("https://"):
        raise InvalidKeysError("its keys are at another server without TLS; set jwksURL")
    return Source.ELSEWHERE


async def _fetch(url: str, policy: Egress, source: Source) -> bytes:
    with closing(ConnectionPool(Dialer(policy, source))) as connections:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                response = await connections.request("GET", url, _HEADERS, connect_seconds=FETCH_SECONDS)
                try:
                    parts: list[bytes] = []
                    while part := await response.read():
                        parts.append(part)
                        if sum(map(len, parts)) > MAX_DOCUMENT_BYTES:
                            raise InvalidKeysError(f"{url} has more than {MAX_DOCUMENT_BYTES} bytes")
                finally:
                    response.close()
        except BrokenError as error:
            raise OSError(f"{url}: {error}") from None
        except TimeoutError:
            raise TimeoutError(f"{url} did not respond within {FETCH_SECONDS:g} s") from None
    if response.status != HTTPStatus.OK:
        raise InvalidKeysError(f"{url} returned HTTP {response.status}")
    return b"".join(parts)


_HEADERS: Final = {"Accept": "application/json", "User-Agent": "chatfleet"}
