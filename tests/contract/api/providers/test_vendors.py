"""A vendor is a row of the table: every provider type has one, and a row may have its own framing and signature."""

import hashlib
import hmac
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import msgspec
import pytest
from pydantic import SecretStr

from chatfleet_api.domain.errors import Code
from chatfleet_api.domain.events import Token, Usage
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.provider import Finish, StreamItem
from chatfleet_api.providers.upstream import connect
from chatfleet_api.providers.upstream_errors import ERROR_CODES
from chatfleet_api.providers.vendor import HTTPRequest, Vendor
from chatfleet_api.providers.vendors import table
from chatfleet_api.providers.vendors.table import VENDORS
from chatfleet_contract.runtime import RuntimeProvider
from chatfleet_contract.spec.provider_types import PROVIDER_TYPES, ProviderType
from chatfleet_contract.spec.providers import Retries
from harness.upstream.catalogue import Outcome, ask, catalogue_of, config_of, key_file
from harness.upstream.fake import Handler, Reply, Request, fake_upstream
from harness.upstream.wires import WIRES, refusing


@pytest.mark.feature(27)
def test_every_provider_type_has_a_row_and_those_with_an_upstream_a_wire() -> None:
    assert list(VENDORS) == list(ProviderType)
    assert {wire.type for wire in WIRES} == {kind for kind in ProviderType if PROVIDER_TYPES[kind].has_upstream}


class LengthPrefixed:
    """Frames that begin with their length in four bytes, as binary event streams do."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        self._rest += data
        frames = []
        while len(self._rest) >= 4 and len(self._rest) >= (end := 4 + int.from_bytes(self._rest[:4])):
            frames.append(self._rest[4:end])
            self._rest = self._rest[end:]
        return frames


class WordParser:
    """An answer whose payloads are words; the word `.` ends it."""

    has_begun = is_ending = is_holding = False
    left_out: frozenset[str] = frozenset()
    pieces = 0

    def __init__(self, _: ChatRequest) -> None:
        self.done = False

    def read(self, payload: bytes, items: list[StreamItem]) -> None:
        items.append(Token(payload.decode()) if payload != b"." else self.end())

    def end(self) -> Finish:
        self.done = True
        return Finish("stop", Usage(1, 2))


def signature(key: SecretStr | None, request: HTTPRequest) -> Mapping[str, str]:
    assert key is not None
    signed = msgspec.json.encode([request.method, request.url, sorted(request.headers.items()), request.body])
    return {"X-Signature": hmac.new(key.get_secret_value().encode(), signed, hashlib.sha256).hexdigest()}


PRETEND = Vendor(
    path=lambda request: f"/model/{request.model}/stream",
    models_path="/models",
    query=lambda _: "?v=1",
    authenticate=signature,
    body=lambda request, _: msgspec.json.encode(request),
    media_type="application/vnd.pretend.eventstream",
    framing=LengthPrefixed,
    parser=WordParser,
    error_codes={**ERROR_CODES, "ThrottlingException": Code.UPSTREAM_RATE_LIMITED},
)


async def answer(script: Handler, monkeypatch: pytest.MonkeyPatch, folder: Path) -> tuple[Outcome, Request]:
    """Return what the pretend vendor, in place of a type's own, makes of the script of its upstream."""
    rows = {**table.VENDORS, ProviderType.OPENAI: partial(connect, PRETEND)}
    monkeypatch.setattr("chatfleet_api.providers.registry.VENDORS", rows)
    async with fake_upstream(script) as upstream:
        key, retries = key_file(folder), Retries(max=0)
        provider = RuntimeProvider(
            name="up", type=ProviderType.OPENAI, base_url=upstream.url, api_key_file=key, retries=retries
        )
        async with catalogue_of(config_of(provider)) as catalogue:
            outcome = await ask(catalogue.provider("default"))
    (request,) = upstream.requests
    return outcome, request


async def test_a_vendor_with_its_own_framing_and_signature_is_one_row(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def script(reply: Reply) -> None:
        await reply.head(200, PRETEND.media_type)
        frames = b"".join(len(word).to_bytes(4) + word for word in (b"Hi", b" you", b"."))
        await reply.send(frames[:7], frames[7:])
        await reply.end()

    outcome, request = await answer(script, monkeypatch, tmp_path)
    assert (outcome.error, outcome.text) == (None, "Hi you")
    assert request.path == "/model/gpt-x/stream?v=1"
    assert len(request.headers["x-signature"]) == 64


async def test_a_vendor_may_have_its_own_names_of_errors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = refusing(400, b'{"error":{"type":"ThrottlingException","message":"Too many."}}')
    outcome, _ = await answer(script, monkeypatch, tmp_path)
    assert outcome.code is Code.UPSTREAM_RATE_LIMITED
