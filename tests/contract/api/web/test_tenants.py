"""No caller reads, changes or notices what another tenant, or another user of its tenant, has.

Every route is in the table, and every kind of id: a caller who names what is not its own gets the answer for what does
not exist, to the byte but for the ids, after the same commands to Redis.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import redis

from chatfleet_api.archive import postgres as reading
from harness.clients.asgi import JSON, Exchange, ask, asking, get, post
from harness.clients.named import KINDS, NO_IDS, PROBES, VERBS, Ids, Probe, made_up
from harness.pods.archived import NOWHERE
from harness.pods.runs import STOP, FakeProvider, text
from harness.pods.tenants import TenantPod, key_of, open_tenant_pod, record_commands, recording
from harness.polling import eventually_async
from harness.postgres import PostgresServer, end_connections, fetch_all

pytestmark = pytest.mark.lasts(40)

PAIRS: Final = (("acme", "initech"), ("ann", "bob"))
"""Who has something, and who shall not notice: of two tenants, and of two users of one."""
FLEET_WIDE: Final = re.compile(r"chatfleet:\{tests/chat\}:(pods|owned:.*|cancels:.*|probe)")
"""Keys of Redis that belong to the pods and not to a tenant."""


@pytest.fixture(params=["redis", "memory"])
async def pods(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator["Pods"]:
    record_commands(monkeypatch)
    url = request.getfixturevalue("redis_url") if request.param == "redis" else None
    ended, endless = FakeProvider(text("a"), [STOP]), FakeProvider(text("a"), 3600.0)
    async with open_tenant_pod(tmp_path, ended, url) as one, open_tenant_pod(tmp_path, endless, url, ends=False) as two:
        yield Pods({"ended": one, "in progress": two}, url)


class Pods(NamedTuple):
    """A pod whose answers have ended when they are named, and one whose answers have not."""

    by_state: dict[str, TenantPod]
    url: str | None


class Seen(NamedTuple):
    """All that a caller can notice of an answer."""

    status: int
    headers: dict[str, str]
    body: bytes
    commands: tuple[str, ...]


async def send(pod: TenantPod, caller: str, exchange: Exchange, named: Ids | None = None) -> Seen:
    """Return the answer of `pod`; of a stream, its beginning."""
    exchange.scope["headers"] += [(b"x-api-key", key_of(caller).encode())]
    with recording() as commands:
        async with asyncio.timeout(20), asking(pod.app, exchange) as answering:
            begun = asyncio.ensure_future(exchange.until(b"event: "))
            await asyncio.wait((answering, begun), return_when=asyncio.FIRST_COMPLETED)
            begun.cancel()
            noticed = tuple(commands)
    headers = {name: value for name, value in exchange.headers.items() if name != "x-request-id"}
    headers = {name: value for name, value in headers.items() if name not in ("request-id", "content-length")}
    body = exchange.body.replace(exchange.headers["x-request-id"].encode(), b"<request>")
    return Seen(exchange.status, headers, body if named is None else named.mask(body), noticed)


async def something(pod: TenantPod, caller: str) -> Ids:
    """Return ids of what `caller` makes: a conversation with an item and an answer, and a response."""
    key = {"x-api-key": key_of(caller)}
    conversation = (await ask(pod.app, post("/api/v1/conversations", {}, **key))).json()["id"]
    items = {"items": [{"type": "message", "role": "user", "content": "secret of " + caller}]}
    added = await ask(pod.app, post(f"/v1/conversations/conv_{conversation}/items", items, **key))
    sent = post(f"/api/v1/conversations/{conversation}/messages", {"content": "Hi", "stream": True}, **key)
    async with asking(pod.app, sent) as answering:
        await sent.until(b"event: token")
        if pod.ends:
            await answering
    made = await ask(pod.app, post("/v1/responses", {"model": "m", "input": "Hi", "background": True}, **key))
    holder, response_run = re.findall("[0-9a-f]{32}", made.json()["id"].removeprefix("resp_"))
    if pod.ends:
        await ask(pod.app, get(f"/v1/responses/{made.json()['id']}?stream=true", **key))
    run = sent.body.split(b"id: ")[1][:36].decode()
    return Ids(conversation, run, added.json()["data"][0]["id"], _uuid(holder), _uuid(response_run))


def _uuid(text: str) -> str:
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def test_the_table_has_every_kind_of_id_and_every_verb() -> None:
    assert {kind for probe in PROBES for kind in probe.kinds} == set(KINDS)
    assert {probe.verb for probe in PROBES} == set(VERBS)


@pytest.mark.feature(40)
@pytest.mark.parametrize("pods", ["memory"], indirect=True)
async def test_every_route_is_in_the_table(pods: Pods) -> None:
    assert pods.by_state["ended"].routes == {probe.route for probe in PROBES} | NO_IDS.keys()


@pytest.mark.feature(40)
@pytest.mark.parametrize(("owner", "stranger"), PAIRS)
@pytest.mark.parametrize("state", ["ended", "in progress"])
async def test_what_is_another_callers_cannot_be_told_from_what_does_not_exist(
    pods: Pods, owner: str, stranger: str, state: str
) -> None:
    pod = pods.by_state[state]
    theirs, own = await something(pod, owner), await something(pod, stranger)
    before = await everything(pod, owner, theirs)
    wrong: list[object] = []
    for probe in PROBES:
        for kinds, named in probe.mixtures(own, theirs):
            unknown = own._replace(**{kind: getattr(made_up(), kind) for kind in kinds})
            seen = await send(pod, stranger, probe.build(named), named)
            expected = await send(pod, stranger, probe.build(unknown), unknown)
            if seen != expected:
                wrong.append((probe.route, probe.verb, kinds, seen, expected))

    assert wrong == []
    assert await everything(pod, owner, theirs) == before


@pytest.mark.parametrize("state", ["ended", "in progress"])
async def test_the_owner_gets_another_answer_to_each_of_these_requests(pods: Pods, state: str) -> None:
    pod, owner, wrong = pods.by_state[state], "acme", list[Probe]()
    for probe in PROBES:
        if probe.waits and not pod.ends:
            continue
        own, unknown = await something(pod, owner), made_up()
        known = await send(pod, owner, probe.build(own), own)
        missing = await send(pod, owner, probe.build(unknown), unknown)
        if probe.shows and (known.status, known.body) == (missing.status, missing.body):
            wrong.append(probe)

    assert wrong == []


async def everything(pod: TenantPod, owner: str, ids: Ids) -> list[tuple[int, bytes]]:
    """Return what `owner` reads of its own."""
    reads = (
        f"/api/v1/conversations/{ids.conversation}",
        f"/v1/conversations/{ids.openai_conversation}/items",
        f"/v1/responses/{ids.response}",
        "/api/v1/conversations",
    )
    return [(seen.status, seen.body) for seen in [await send(pod, owner, get(path)) for path in reads]]


@pytest.mark.parametrize(("owner", "stranger"), PAIRS)
async def test_no_listing_has_what_is_another_callers(pods: Pods, owner: str, stranger: str) -> None:
    pod = pods.by_state["ended"]
    theirs = await something(pod, owner)
    own = await something(pod, stranger)
    listed = await send(pod, stranger, get("/api/v1/conversations"))

    assert own.conversation.encode() in listed.body
    assert theirs.conversation.encode() not in listed.body


@pytest.mark.parametrize(("owner", "stranger"), PAIRS)
async def test_an_idempotency_key_is_its_callers(pods: Pods, owner: str, stranger: str) -> None:
    pod, body = pods.by_state["ended"], {"model": "m", "input": "Hi"}
    made = [
        await ask(pod.app, post("/v1/responses", body, **{"x-api-key": key_of(caller), "idempotency-key": "once"}))
        for caller in (owner, stranger, owner)
    ]

    assert [each.status for each in made] == [200, 200, 200]
    assert made[0].json()["id"] == made[2].json()["id"] != made[1].json()["id"]


@pytest.mark.parametrize(("owner", "stranger"), PAIRS)
async def test_the_id_of_a_chat_is_its_callers(pods: Pods, owner: str, stranger: str) -> None:
    pod = pods.by_state["ended"]
    message = {"id": "msg-1", "role": "user", "parts": [{"type": "text", "text": "secret of " + owner}]}
    sent = post("/api/v1/ai-sdk", {"id": "chat-1", "messages": [message]}, **{"x-api-key": key_of(owner)})
    assert (await ask(pod.app, sent)).status == 200
    joined = {
        caller: await ask(pod.app, get("/api/v1/ai-sdk/chat-1/stream", **{"x-api-key": key_of(caller)}))
        for caller in (owner, stranger)
    }

    assert joined[owner].body == sent.body
    assert (joined[stranger].status, joined[stranger].body) == (204, b"")


@pytest.mark.parametrize(("owner", "stranger"), PAIRS)
async def test_the_id_of_a_thread_is_its_callers(pods: Pods, owner: str, stranger: str) -> None:
    pod = pods.by_state["ended"]
    message = {"id": "msg-1", "role": "user", "content": "Hi"}
    body = {"threadId": "thread-1", "runId": "run-1", "messages": [message]}
    runs = [
        await ask(pod.app, post("/api/v1/ag-ui", body, **{"x-api-key": key_of(caller)}))
        for caller in (owner, stranger, owner)
    ]

    assert [each.status for each in runs] == [200, 200, 200]
    assert runs[0].body == runs[2].body != runs[1].body


@pytest.mark.parametrize("pods", ["redis"], indirect=True)
async def test_a_webhook_is_its_users(pods: Pods) -> None:
    pod, path = pods.by_state["ended"], "/api/v1/users/me/webhook"

    async def of(caller: str, method: str, url: str = "") -> Seen:
        body = json.dumps({"url": url}).encode() if url else b""
        return await send(pod, caller, Exchange(method, path, body=body, headers=JSON))

    assert (await of("ann", "GET")).status == 404
    made = json.loads((await of("ann", "PUT", "https://ann.example/hook")).body)
    again = json.loads((await of("ann", "PUT", "https://ann.example/hook")).body)
    assert made["secret"].startswith("whsec_")
    assert made["secret"] != again["secret"]
    assert (await of("bob", "GET")).status == 404
    assert (await of("bob", "DELETE")).status == 204
    shown = json.loads((await of("ann", "GET")).body)
    kept = {"created_at": again["created_at"], "inactive_after_seconds": None}
    assert shown == {"url": "https://ann.example/hook", **kept}
    for seconds, status in ((9, 400), (60, 200)):
        body = json.dumps({"url": "https://ann.example/hook", "inactive_after_seconds": seconds}).encode()
        assert (await send(pod, "ann", Exchange("PUT", path, body=body, headers=JSON))).status == status
    assert json.loads((await of("ann", "GET")).body)["inactive_after_seconds"] == 60
    assert {(await of("acme", method, "https://a.example")).status for method in ("PUT", "GET", "DELETE")} == {403}
    assert (await of("ann", "DELETE")).status == 204
    assert (await of("ann", "GET")).status == 404


@pytest.mark.parametrize("pods", ["redis"], indirect=True)
@pytest.mark.parametrize(
    "url",
    [
        *("http://ann.example/", "ftp://ann.example/", "https://", "https://127.0.0.1/", "https://[::1]/"),
        *("https://10.0.0.1/", "https://169.254.169.254/", "https://metadata.google.internal/"),
        *("https://support.shop.svc/", "https://u:p@ann.example/", "https://0x7f000001/", "https://ann.example:99999/"),
    ],
)
async def test_a_webhook_names_a_public_server(pods: Pods, url: str) -> None:
    put = Exchange("PUT", "/api/v1/users/me/webhook", body=json.dumps({"url": url}).encode(), headers=JSON)
    seen = await send(pods.by_state["ended"], "ann", put)
    assert (seen.status, json.loads(seen.body)["param"]) == (400, "url")


@pytest.mark.parametrize("pods", ["memory"], indirect=True)
async def test_without_redis_there_are_no_webhooks_of_users(pods: Pods) -> None:
    seen = await send(pods.by_state["ended"], "ann", get("/api/v1/users/me/webhook"))
    assert (seen.status, json.loads(seen.body)["code"]) == (404, "not_found")


@pytest.mark.parametrize("pods", ["redis"], indirect=True)
async def test_every_key_in_redis_has_a_tenant_or_is_the_fleets(pods: Pods) -> None:
    for pod in pods.by_state.values():
        for caller in ("acme", "ann"):
            ids = await something(pod, caller)
            for probe in PROBES:
                if pod.ends or not probe.waits:
                    await send(pod, caller, probe.build(ids))
    with redis.Redis.from_url(str(pods.url), decode_responses=True) as server:
        keys = list(server.scan_iter(count=1000))
    owned = [key for key in keys if re.match(r"chatfleet:\{tests/chat/(acme|shared)(/[-0-9a-f]{36})?\}:", key)]

    assert [key for key in keys if key not in owned and not FLEET_WIDE.fullmatch(key)] == []
    assert len(owned) > len([probe for probe in PROBES if probe.verb == "write"])


@pytest.mark.feature(40)
@pytest.mark.timeout(180)
async def test_what_has_expired_is_its_owners_in_the_archive_too(
    tmp_path: Path, redis_url: str, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "READ_SECONDS", 30)  # a busy machine is not a silent PostgreSQL
    monkeypatch.setattr(reading, "SILENT_SECONDS", 60)
    (archive := tmp_path / "postgres").write_text(url := postgres.database())
    async with open_tenant_pod(tmp_path, FakeProvider(text("a"), [STOP]), redis_url, postgres=archive) as pod:
        assert pod.keeper is not None
        deletes = [each for each in PROBES if each.verb == "delete" and "conversation" in each.kinds]
        others = [each for each in PROBES if each not in deletes]  # a second deletion differs, whosoever it is
        reads = [each for each in others if each.verb == "read"]
        owned = {pair: (await something(pod, pair[0]), await something(pod, pair[1])) for pair in PAIRS}
        wanted = {theirs.conversation for theirs, _ in owned.values()}
        await eventually_async(lambda: wanted <= {str(row[0]) for row in archived(url)})
        before = {pair: await everything(pod, pair[0], theirs) for pair, (theirs, _) in owned.items()}
        with redis.Redis.from_url(redis_url) as server:
            for conversation in wanted:
                server.delete(*(key for key in server.keys(f"*{conversation}*") if key.endswith((b"n", b"s"))))
        for pair, (theirs, own) in owned.items():
            assert await noticed(pod, pair[1], theirs, own, others) == []
            assert await everything(pod, pair[0], theirs) == before[pair]
        archive.write_text(NOWHERE)
        end_connections(url)
        await eventually_async(lambda: pod.keeper is not None and pod.keeper.down)
        for pair, (theirs, own) in owned.items():
            assert await noticed(pod, pair[1], theirs, own, (*reads, deletes[0])) == []
        assert len(archived(url)) >= len(wanted)


async def noticed(pod: TenantPod, stranger: str, theirs: Ids, own: Ids, probes: Sequence[Probe]) -> list[object]:
    """Return the requests whose answers differ between what is another caller's and what does not exist."""
    found: list[object] = []
    for probe in probes:
        for kinds, named in probe.mixtures(own, theirs):
            if "conversation" not in kinds:
                continue
            unknown = own._replace(**{kind: getattr(made_up(), kind) for kind in kinds})
            seen = await send(pod, stranger, probe.build(named), named)
            expected = await send(pod, stranger, probe.build(unknown), unknown)
            if seen[:3] != expected[:3]:
                found.append((probe.route, kinds, seen, expected))
    return found


def archived(url: str) -> list[tuple[Any, ...]]:
    there = fetch_all(url, "SELECT to_regclass('chatfleet.messages') IS NOT NULL")
    return fetch_all(url, "SELECT id FROM chatfleet.conversations") if there[0][0] else []
