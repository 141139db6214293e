"""What is attached to a message reaches the upstream byte for byte, in each turn, whichever pod sends it."""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from hashlib import shake_256
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import redis
from starlette.types import ASGIApp

from chatfleet_api.sessions.attachments import KEEP, RENEW
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model
from harness.clients.asgi import Exchange, ask, get, post
from harness.pods.api_process import ApiProcess, api_process, fetch, scripted
from harness.pods.tenants import key_of, open_tenant_pod, record_commands, recording
from harness.upstream.catalogue import catalogue_of, config_of, provider_of
from harness.upstream.fake import FakeUpstream, fake_upstream
from harness.upstream.wires import Wire, answering, wire_of

BASE: Final = "/api/v1/conversations"
PNG: Final = b"\x89PNG\r\n\x1a\n" + shake_256(b"image").digest(100_000)
WIRES: Final = [
    wire_of(ProviderType.OPENAI),
    wire_of(ProviderType.OPENAI, "responses"),
    wire_of(ProviderType.OPENAI_COMPATIBLE),
    wire_of(ProviderType.ANTHROPIC),
    wire_of(ProviderType.BEDROCK),
]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    """A pod as a process, wired as it is in a cluster."""
    with api_process(tmp_path_factory.mktemp("pod"), scripted("echo")) as api:
        yield api


FILE_WIRES: Final = [wire for wire in WIRES if wire.type is not ProviderType.OPENAI_COMPATIBLE]
PDF: Final = b"%PDF-1.7\n" + shake_256(b"file").digest(50_000)


class Pods(NamedTuple):
    """Two pods on one Redis, and their upstream."""

    one: ASGIApp
    two: ASGIApp
    upstream: FakeUpstream


@pytest.fixture(params=WIRES[:1], ids=lambda wire: wire.name)
async def pods(request: pytest.FixtureRequest, tmp_path: Path, redis_url: str) -> AsyncIterator[Pods]:
    wire: Wire = request.param
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(fake_upstream(answering(wire)))
        entry = Model.model_validate({"name": "default", "provider": "up", "model": "anthropic.m"})
        config = config_of(provider_of(wire, upstream.url), models=[entry])
        provider = (await stack.enter_async_context(catalogue_of(config))).provider("default")
        one, two = [await stack.enter_async_context(open_tenant_pod(tmp_path, provider, redis_url)) for _ in range(2)]
        yield Pods(one.app, two.app, upstream)


async def call(app: ASGIApp, exchange: Exchange, caller: str = "acme") -> Any:  # noqa: ANN401  # any JSON
    exchange.scope["headers"] += [(b"x-api-key", key_of(caller).encode())]
    answer = await ask(app, exchange)
    assert answer.status < 300, answer.body
    return answer.json() if answer.body else None


async def begin(app: ASGIApp, caller: str = "acme") -> str:
    return f"{BASE}/{(await call(app, post(BASE, {}), caller))['id']}"


def image(data: bytes = PNG) -> dict[str, str]:
    return {"type": "image", "url": f"data:image/png;base64,{b64encode(data).decode()}"}


def data_in(value: object) -> Iterator[bytes]:
    """Yield what is long in a request, whichever form its vendor has for it."""
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from data_in(each)
    elif isinstance(value, str) and len(value) > 10_000:
        yield b64decode(value.rpartition(",")[2], validate=True)


@pytest.mark.parametrize("pods", WIRES, indirect=True, ids=lambda wire: wire.name)
async def test_the_upstream_gets_the_same_bytes_with_this_turn_and_from_the_history_of_another_pod(pods: Pods) -> None:
    conversation = await begin(pods.one)

    await call(pods.one, post(f"{conversation}/messages", {"content": "What is this?", "attachments": [image()]}))
    await call(pods.two, post(f"{conversation}/messages", {"content": "And?"}))

    assert [list(data_in(request.json)) for request in pods.upstream.requests] == [[PNG], [PNG]]
    shown = (await call(pods.two, get(conversation)))["messages"][0]
    assert shown["attachments"] == [{**image(), "media_type": "image/png"}]
    document = await call(pods.two, get(f"{conversation}/export"))
    copy = (await call(pods.one, post(f"{BASE}/import", document)))["id"]
    assert (await call(pods.two, get(f"{BASE}/{copy}")))["messages"][0]["attachments"] == shown["attachments"]


@pytest.mark.parametrize("pods", FILE_WIRES, indirect=True, ids=lambda wire: wire.name)
async def test_a_pdf_reaches_the_upstreams_that_take_files_with_its_name(pods: Pods) -> None:
    conversation, sent = await begin(pods.one), b64encode(PDF).decode()
    attachment = {"type": "file", "url": f"data:application/pdf;base64,{sent}", "name": "Report 2026.pdf"}

    for app in (pods.one, pods.two):
        await call(app, post(f"{conversation}/messages", {"content": "What is this?", "attachments": [attachment]}))

    assert [list(data_in(request.json)) for request in pods.upstream.requests] == [[PDF], [PDF, PDF]]
    names = [re.findall(rb'"Report 2026[^"]*"', request.body) for request in pods.upstream.requests]
    assert [len(each) for each in names] == [1, 2]
    if b'"bytes"' in pods.upstream.requests[-1].body:  # Converse refuses two of the same name
        assert len({*names[-1]}) == 2


def memory(url: str) -> int:
    with redis.Redis.from_url(url) as server:
        return sum(server.memory_usage(key, samples=0) or 0 for key in server.scan_iter("*{tests/chat/acme/*"))


async def test_an_image_that_is_sent_ten_times_is_stored_once_and_deleted_with_its_conversations(
    pods: Pods, redis_url: str
) -> None:
    before, made = memory(redis_url), [await begin(pods.one) for _ in range(2)]
    for turn in range(10):
        body = {"content": "What is this?", "attachments": [image()]}
        await call(pods.one, post(f"{made[turn % 2]}/messages", body))

    assert len(PNG) < memory(redis_url) - before < 2 * len(PNG)
    assert len(list(data_in(pods.upstream.requests[-1].json))) == 5

    for conversation in made:
        await call(pods.two, Exchange("DELETE", conversation))
    assert memory(redis_url) - before < len(PNG)


async def test_an_item_of_the_responses_api_is_stored_so_too_and_shown_as_it_came(pods: Pods) -> None:
    url = image()["url"]
    parts = [{"type": "input_text", "text": "What is this?"}, {"type": "input_image", "image_url": url}]
    body = {"model": "m", "input": [{"type": "message", "role": "user", "content": parts}]}

    first = await call(pods.one, post("/v1/responses", body))
    await call(pods.two, post("/v1/responses", {"model": "m", "input": "And?", "previous_response_id": first["id"]}))

    items = (await call(pods.two, get(f"/v1/responses/{first['id']}/input_items")))["data"]
    assert items[0]["content"][1]["image_url"] == url
    assert [list(data_in(request.json)) for request in pods.upstream.requests] == [[PNG], [PNG]]


@pytest.mark.parametrize(("owner", "stranger"), [("acme", "initech"), ("ann", "bob")])
async def test_no_command_to_redis_depends_on_whether_another_caller_has_an_image(
    pods: Pods, monkeypatch: pytest.MonkeyPatch, owner: str, stranger: str
) -> None:
    record_commands(monkeypatch)

    async def sent(caller: str, data: bytes) -> list[str]:
        body = {"content": "What is this?", "attachments": [image(data)]}
        conversation = await begin(pods.one, caller)
        with recording() as commands:
            await call(pods.one, post(f"{conversation}/messages", body), caller)
        return [each for each in commands if KEEP in each or RENEW in each]

    await sent(owner, PNG)

    known, unknown = await sent(stranger, PNG), await sent(stranger, PNG + b"another")
    assert known == unknown
    assert sum(KEEP in each for each in known) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "169.254.169.254", "[::1]", "redis", "support-redis.shop.svc", "0x7f01"])
def test_a_pod_requests_no_address_of_the_inside(alone: ApiProcess, host: str) -> None:
    attachment = {"type": "image", "url": f"https://{host}:{alone.port}/"}

    refused = fetch(f"{alone.url}/chat", {"message": "What is this?", "attachments": [attachment]})

    assert (refused.status, refused.json["param"]) == (400, "attachments[0].url")
    assert "use a public https address" in refused.json["message"]


async def test_another_tenant_neither_gets_nor_notices_it(pods: Pods, redis_url: str) -> None:
    conversation = await begin(pods.one)
    await call(pods.one, post(f"{conversation}/messages", {"content": "What is this?", "attachments": [image()]}))
    theirs = await begin(pods.one, "initech")
    body = {"content": "What is this?", "attachments": [image()]}
    shown = await call(pods.one, post(f"{theirs}/messages", body), "initech")
    assert shown["message"]["status"] == "complete"

    await call(pods.one, Exchange("DELETE", conversation))

    with redis.Redis.from_url(redis_url) as server:
        assert not list(server.scan_iter("*{tests/chat/acme/*}:attachment"))
        assert len(list(server.scan_iter("*{tests/chat/initech/*}:attachment"))) == 1
    assert json.dumps((await call(pods.two, get(theirs), "initech"))["messages"]).count(image()["url"]) == 1
