"""The keys of an issuer over real sockets: found by discovery, through the guard, within a deadline."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from chatfleet_api.http.egress.policy import EgressRefusedError
from chatfleet_api.identity import discovery
from chatfleet_api.identity.discovery import DISCOVERY, MAX_DOCUMENT_BYTES, fetch_keys
from chatfleet_api.identity.jose import InvalidKeysError
from chatfleet_contract.runtime import RuntimeEgress
from chatfleet_contract.spec.jwt import JWTIssuer
from harness.net import LOOPBACK, LOOPBACK_EGRESS, serving
from harness.pods.issuer import jwks, rsa_key
from harness.pods.live import fixed

KEYS = jwks(rsa_key("a"))


@asynccontextmanager
async def issuing(document: bytes = KEYS, **changes: str) -> AsyncIterator[tuple[str, list[str]]]:
    """Run an issuer whose discovery document has `changes`; yield its URL, and the paths that are requested."""
    requested: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        requested.append(request.path_qs)
        if request.path == "/moved":
            raise web.HTTPFound("/keys")
        if not request.path.endswith(DISCOVERY):
            return web.Response(body=document)
        url = f"http://{request.host}"
        found = {"issuer": f"{url}/realm", "jwks_uri": f"{url}/keys?p=1", **changes}
        return web.Response(body=json.dumps(found).encode())

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    async with serving(application) as port:
        yield f"http://{LOOPBACK}:{port}", requested


async def fetched(url: str, egress: RuntimeEgress = LOOPBACK_EGRESS, **settings: str) -> int:
    """Return the number of keys of the issuer at `url`."""
    document = {"issuer": f"{url}/realm", "audience": "chat", "tenant": "shop", **settings}
    return len((await fetch_keys(JWTIssuer.model_validate(document), fixed(egress))).thumbprints)


async def test_keys_are_found_by_discovery() -> None:
    async with issuing() as (url, requested):
        assert await fetched(url) == 1

    assert requested == [f"/realm{DISCOVERY}", "/keys?p=1"]


async def test_the_url_of_the_keys_needs_no_discovery() -> None:
    async with issuing() as (url, requested):
        assert await fetched(url, jwksURL=f"{url}/keys") == 1

    assert requested == ["/keys"]


async def test_a_document_about_another_issuer_is_refused() -> None:
    async with issuing(issuer="https://login.example.com") as (url, requested):
        with pytest.raises(InvalidKeysError, match="is about another issuer"):
            await fetched(url)

    assert len(requested) == 1


@pytest.mark.parametrize(
    ("uri", "error", "words"),
    [
        ("https://127.0.0.1:9/keys", OSError, "127.0.0.1"),
        ("https://169.254.169.254/keys", EgressRefusedError, "refused"),
        ("https://10.0.0.1/keys", EgressRefusedError, "refused"),
        ("http://login.example.com/keys", InvalidKeysError, "without TLS"),
        ("file:///etc/passwd", OSError, "not a URL"),
    ],
)
async def test_discovery_leads_to_no_place_inside(uri: str, error: type[Exception], words: str) -> None:
    async with issuing(jwks_uri=uri) as (url, _):
        with pytest.raises(error, match=words):
            await fetched(url)


async def test_what_the_guard_refuses_is_not_requested() -> None:
    async with issuing() as (url, requested):
        with pytest.raises(EgressRefusedError):
            await fetched(url, RuntimeEgress())

    assert requested == []


async def test_a_redirect_is_not_followed() -> None:
    async with issuing() as (url, requested):
        with pytest.raises(InvalidKeysError, match="returned HTTP 302"):
            await fetched(url, jwksURL=f"{url}/moved")

    assert requested == ["/moved"]


async def test_a_document_that_never_ends_is_refused() -> None:
    async with issuing(b" " * (MAX_DOCUMENT_BYTES + 1)) as (url, _):
        with pytest.raises(InvalidKeysError, match=f"more than {MAX_DOCUMENT_BYTES} bytes"):
            await fetched(url)


async def test_an_issuer_that_does_not_respond_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "FETCH_SECONDS", 0.1)

    async def silent(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"{")
        await asyncio.Event().wait()  # until the client leaves
        return response

    application = web.Application()
    application.router.add_get("/{path:.*}", silent)
    async with serving(application) as port:
        with pytest.raises(TimeoutError, match=r"did not respond within 0\.1 s"):
            await fetched(f"http://{LOOPBACK}:{port}")
