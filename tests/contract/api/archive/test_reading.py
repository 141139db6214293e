"""What Redis has let expire, read from a real PostgreSQL: as it was, changed once, and never what was deleted."""

import asyncio
import base64
import json
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace
from uuid_utils import uuid7

from chatfleet_api.archive import expired
from chatfleet_api.archive import postgres as archive_of_postgres
from chatfleet_api.archive.documents import Archived, read_whole
from chatfleet_api.archive.postgres import PostgresArchive
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Citation, ContextUse, ServerToolCall, Thought, Usage
from chatfleet_api.domain.request import Function, MessageToolCall
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.sessions.feedback import Feedback
from chatfleet_api.sessions.keys import conversation_keys
from chatfleet_api.sessions.store import (
    ArchiveUnavailableError,
    Conversation,
    Head,
    PlacedToolEvent,
    StoredMessage,
    removed,
)
from harness.faults.proxy import Proxy
from harness.faults.toxics import BLACKHOLE
from harness.net import LOOPBACK
from harness.pods.archived import NOW, TTL, Shop, message
from harness.polling import eventually_async
from harness.postgres import SUPERUSER, PostgresServer

pytestmark = pytest.mark.lasts(40)

IMAGE = base64.b64encode(bytes(3000)).decode()
"""Is kept once, by its digest."""
LATER = "2026-01-02T03:04:06.000+00:00"


async def whole(shop: Shop, conversation: str) -> tuple[Any, ...]:
    """Return all that readers get of a conversation."""
    return (
        await shop.sessions.get("acme", conversation),
        await shop.sessions.messages("acme", conversation),
        await shop.feedback.all("acme", conversation),
    )


async def told(shop: Shop, conversation: str, *, tenant: str = "acme") -> Code | None:
    """Return the error of those who read a conversation; None: they get it."""
    try:
        await shop.sessions.get(tenant, conversation)
    except ChatError as error:
        return error.code
    return None


async def exists(shop: Shop, conversation: str) -> bool:
    return bool(await shop.redis.call("EXISTS", *conversation_keys(shop.redis, "acme", conversation)))


async def rich(shop: Shop) -> str:
    """Return a conversation that has something of everything."""
    conversation, run = await shop.conversation(), str(uuid7())
    usage = Usage(input_tokens=3, output_tokens=5, cost_usd=Decimal("0.0000125"), service_tier="flex")
    question, gone = message('How are you? 🎈 \\ "'), message("secret")
    answer = StoredMessage(
        *(str(uuid7()), "assistant", "Well", "2026-01-02T03:04:05.600+00:00", "complete", run, 2),
        provider="a",
        model="m",
        upstream_model="m-1",
        finish_reason="tool_calls",
        tool_calls=[MessageToolCall("call-1", Function("search", '{"q": "1.0"}'))],
        reasoning="because",
        thoughts=[Thought("because")],
        usage=usage,
        latency_ms=12,
        item='{"b": 1, "a": 2}',
        extra='{"x": [1.0]}',
        context=ContextUse(3, 1),
        citations=(Citation("docs/a", 1, 0.5),),
        server_tools=[PlacedToolEvent(2, ServerToolCall(1, "c", "find", "tickets", "search", "{}"))],
    )
    other = replace(message("another branch"), parent=question.id)
    image = {"type": "input_image", "image_url": f"data:image/png;base64,{IMAGE}"}
    shown = message("", item=json.dumps({"type": "message", "role": "user", "content": [image]}))
    failed = StoredMessage(str(uuid7()), "assistant", "", NOW, "failed", error_code=Code.UPSTREAM_TIMEOUT)
    await shop.say(conversation, question, gone, answer, other, shown, failed)
    await shop.sessions.remove("acme", conversation, removed(gone.id), now=LATER)
    head = Head(answer.id, failed.id)
    await shop.sessions.update("acme", conversation, lambda known: replace(known, head=head), now=LATER)
    for user in ("zoe", "ann", None):
        await shop.feedback.put("acme", conversation, Feedback(user, answer.id, NOW, LATER, "up", 4, user))
    return conversation


@pytest.mark.feature(35)
async def test_what_has_expired_is_read_as_it_was_and_stays_expired(
    client: RedisClient, postgres: PostgresServer, tmp_path: Path
) -> None:
    shop = Shop(client, postgres.database(), tmp_path)
    conversation = await rich(shop)
    before = await whole(shop, conversation)
    async with shop.pod():
        await shop.expire(conversation)
        after = await whole(shop, conversation)
        assert (after[0], after[1]) == before[:2]
        assert {each.key: each for each in after[2]} == {each.key: each for each in before[2]}
        assert not await exists(shop, conversation)


@pytest.mark.feature(35)
@pytest.mark.parametrize("change", ["append", "update", "remove", "feedback", "enqueue"])
async def test_a_change_brings_it_back_whole_and_archives_the_change_alone(
    single: RedisClient, postgres: PostgresServer, tmp_path: Path, change: str
) -> None:
    shop = Shop(single, postgres.database(), tmp_path)
    conversation = await rich(shop)
    before = await shop.sessions.messages("acme", conversation)
    new = message("and now?")
    changes: dict[str, Callable[[], Awaitable[object]]] = {
        "append": lambda: shop.say(conversation, new),
        "update": lambda: shop.sessions.update(
            "acme", conversation, lambda known: replace(known, title="T"), now=LATER
        ),
        "remove": lambda: shop.sessions.remove("acme", conversation, removed(before[0].id), now=LATER),
        "feedback": lambda: shop.feedback.put("acme", conversation, Feedback("eve", None, NOW, NOW, rating=1)),
        "enqueue": lambda: shop.sessions.enqueue("acme", conversation, "ticket"),
    }
    async with shop.pod() as keeper:
        await shop.expire(conversation)
        known, written = await shop.sessions.get("acme", conversation), keeper.messages
        await changes[change]()
        found = await shop.in_redis.messages("acme", conversation)
        expected = before[1:] if change == "remove" else (*before, new) if change == "append" else before
        assert [each.content for each in found] == [each.content for each in expected]
        assert (await shop.in_redis.get("acme", conversation)).version == known.version + (
            change in ("append", "remove")
        )
        keys = conversation_keys(single, "acme", conversation)
        assert len(await single.call("HGET", keys[0], "attachments")) == 64
        assert all(IMAGE.encode() not in entry for entry in await single.call("LRANGE", keys[1], 0, -1))
        assert all([await single.call("TTL", key) > 0 for key in keys])
        await shop.archived()
        # A removal is marked before and after it: what is left is written for each mark, or once for both.
        assert keeper.messages - written in {"append": (1,), "remove": (6, 12)}.get(change, (0,))
        assert all([0 < await single.call("TTL", key) <= TTL for key in keys])
        await shop.expire(conversation)
        assert await shop.sessions.messages("acme", conversation) == found
        assert len(await shop.feedback.all("acme", conversation)) == 3 + (change == "feedback")


def _retitled(known: Conversation) -> Conversation:
    return replace(known, title="T")


async def test_pods_that_go_on_with_it_at_the_same_time_load_it_once_and_lose_nothing(
    client: RedisClient, postgres: PostgresServer, tmp_path: Path
) -> None:
    shop = Shop(client, postgres.database(), tmp_path, settling=2)
    conversation = await shop.conversation()
    said = [message(f"number {number}") for number in range(1010)]
    await shop.say(conversation, *said)
    new = [message(f"new {number}") for number in range(6)]
    async with shop.pod():
        await shop.expire(conversation)
        await asyncio.gather(*(shop.say(conversation, each) for each in new))
        found = await shop.sessions.messages("acme", conversation)
        assert list(found[:1010]) == said
        assert sorted(each.content for each in found[1010:]) == sorted(each.content for each in new)
        await shop.expire(conversation)
        assert await shop.sessions.messages("acme", conversation) == found


async def test_what_is_deleted_while_it_is_loaded_does_not_come_back(
    client: RedisClient, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(client, postgres.database(), tmp_path)
    conversation = await rich(shop)
    read = PostgresArchive.read

    async def overtaken(self: PostgresArchive, tenant: str, statement: str, values: Mapping[str, object]) -> str | None:
        found = await read(self, tenant, statement, values)
        monkeypatch.setattr(PostgresArchive, "read", read)
        await shop.sessions.delete("acme", conversation)
        return found

    async with shop.pod():
        await shop.expire(conversation)
        monkeypatch.setattr(PostgresArchive, "read", overtaken)
        with pytest.raises(ChatError) as caught:
            await shop.say(conversation, message("late"))
        assert caught.value.code is Code.CONVERSATION_NOT_FOUND
        assert not await exists(shop, conversation)
        await shop.archived()
    assert shop.rows("SELECT * FROM chatfleet.conversations") == []


@pytest.mark.feature(35)
@pytest.mark.parametrize("expired", [True, False])
async def test_what_is_deleted_while_postgresql_is_down_is_found_by_nobody_from_then_on(
    client: RedisClient, postgres: PostgresServer, tmp_path: Path, *, expired: bool
) -> None:
    shop = Shop(client, postgres.database(), tmp_path)
    conversation = await rich(shop)
    seen: set[Code | None] = set()

    async def look() -> None:
        while True:
            seen.add(await told(shop, conversation))
            await asyncio.sleep(0)

    async with shop.pod() as keeper:
        await shop.archived()
        if expired:
            await shop.expire(conversation)
        await shop.down(keeper)
        await shop.sessions.delete("acme", conversation)
        looking = asyncio.create_task(look())
        with pytest.raises(ChatError) as caught:
            await shop.sessions.delete("acme", conversation)
        assert caught.value.code is Code.CONVERSATION_NOT_FOUND
        with pytest.raises(ChatError) as caught:  # an answer that was being written
            await shop.say(conversation, message("late"))
        assert caught.value.code is Code.CONVERSATION_NOT_FOUND
        assert len(shop.rows("SELECT * FROM chatfleet.messages")) == 6
        assert seen == {Code.CONVERSATION_NOT_FOUND}
        await shop.up(keeper)
        await shop.archived()
        assert await told(shop, conversation) is Code.CONVERSATION_NOT_FOUND
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking
    # Unavailable: its rows and its mark are gone, and the pod has not checked PostgreSQL since.
    assert seen <= {Code.CONVERSATION_NOT_FOUND, Code.STORAGE_UNAVAILABLE}
    assert shop.rows("SELECT * FROM chatfleet.conversations") == []


async def test_while_postgresql_is_down_what_is_missing_is_not_called_unknown_and_what_is_there_is_served(
    single: RedisClient, postgres: PostgresServer, tmp_path: Path
) -> None:
    shop = Shop(single, postgres.database(), tmp_path)
    here, expired = await rich(shop), await rich(shop)
    async with shop.pod() as keeper:
        await shop.expire(expired)
        await shop.down(keeper)
        for missing in (expired, str(uuid7())):
            for reading in (shop.sessions.get, shop.sessions.messages, shop.feedback.all):
                with pytest.raises(ArchiveUnavailableError) as caught:
                    await reading("acme", missing)
                assert caught.value.facts.status == 503
                assert caught.value.retry_after
            with pytest.raises(ArchiveUnavailableError):
                await shop.say(missing, message("lost?"))
        await whole(shop, here)
        await shop.say(here, message("goes on"))
        await shop.up(keeper)
        await shop.say(expired, message("goes on"))
        assert await told(shop, str(uuid7())) is Code.CONVERSATION_NOT_FOUND


async def test_what_begins_anew_while_postgresql_is_down_is_one_conversation_with_its_past(
    single: RedisClient, postgres: PostgresServer, tmp_path: Path
) -> None:
    shop = Shop(single, postgres.database(), tmp_path)
    conversation = await rich(shop)
    before, given = await shop.sessions.messages("acme", conversation), await shop.feedback.all("acme", conversation)
    async with shop.pod() as keeper:
        await shop.expire(conversation)
        await shop.down(keeper)
        anew = Conversation(conversation, "ann", None, {"n": 1}, LATER, LATER)  # by an id that its client has chosen
        await shop.sessions.create("acme", anew)
        await shop.say(conversation, new := message("and now?"))
        again = await shop.feedback.put("acme", conversation, Feedback("ann", new.id, LATER, LATER, thumb="down"))
        await shop.up(keeper)
        await shop.expire(conversation)
        known = await shop.sessions.get("acme", conversation)
        assert (known.title, known.metadata, known.created_at) == ("A title", {"k": ["v", 1], "n": 1}, NOW)
        assert [each.id for each in await shop.sessions.messages("acme", conversation)] == [
            *(each.id for each in before),
            new.id,
        ]
        kept = await shop.feedback.all("acme", conversation)
        assert {each.key: each for each in kept} == {each.key: each for each in (*given, again)}


@pytest.mark.timeout(60)
async def test_a_silent_postgresql_delays_a_reader_for_a_bounded_time_and_then_not_at_all(
    single: RedisClient, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_of_postgres, "READ_SECONDS", 1)
    monkeypatch.setattr(archive_of_postgres, "SILENT_SECONDS", 2)
    async with Proxy(postgres.port) as proxy:
        url = urlsplit(postgres.database())
        shop = Shop(single, url._replace(netloc=f"{SUPERUSER}@{LOOPBACK}:{proxy.port}").geturl(), tmp_path)
        conversation = await rich(shop)
        async with shop.pod() as keeper:
            await shop.expire(conversation)
            assert await told(shop, conversation) is None
            await proxy.set(BLACKHOLE)
            assert await told(shop, conversation) is Code.STORAGE_UNAVAILABLE
            await eventually_async(lambda: keeper.down)
            assert keeper.state is not None
            assert "not answered" in (keeper.state.message or "")
            monkeypatch.setattr(PostgresArchive, "read", _never)
            assert await told(shop, conversation) is Code.STORAGE_UNAVAILABLE


async def _never(*_: object) -> None:
    raise AssertionError("PostgreSQL was read")


async def test_a_statement_that_takes_too_long_concerns_its_reader_alone(
    single: RedisClient, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_of_postgres, "READ_SECONDS", 1)
    shop = Shop(single, postgres.database(), tmp_path)
    conversation = await rich(shop)
    async with shop.pod() as keeper:
        await shop.expire(conversation)
        with shop.locked("chatfleet.conversations"):
            assert await told(shop, conversation) is Code.STORAGE_UNAVAILABLE
            assert not keeper.down
        assert await told(shop, conversation) is None


async def test_the_record_of_a_conversation_is_read_without_its_messages(
    single: RedisClient, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(single, postgres.database(), tmp_path)
    conversation = await rich(shop)
    async with shop.pod():
        await shop.expire(conversation)
        with shop.locked("chatfleet.messages"):
            known = await shop.sessions.get("acme", conversation)
            monkeypatch.setattr(archive_of_postgres, "READ_SECONDS", 1)
            with pytest.raises(ArchiveUnavailableError):
                await shop.sessions.messages("acme", conversation)
        assert known.title == "A title"


async def test_a_large_document_is_decoded_in_a_thread(
    single: RedisClient, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []

    def noted(document: str) -> Archived:
        threads.append(threading.get_ident())
        return read_whole(document)

    monkeypatch.setattr(expired, "read_whole", noted)
    monkeypatch.setattr(expired, "LARGE", 10_000)
    shop = Shop(single, postgres.database(), tmp_path)
    small, large = await shop.conversation(), await shop.conversation()
    await shop.say(large, message("x" * 10_000))
    async with shop.pod():
        for conversation in (small, large):
            await shop.expire(conversation)
            await shop.sessions.messages("acme", conversation)
    assert [each == threading.get_ident() for each in threads] == [True, False]


async def test_another_tenant_neither_finds_nor_deletes_what_has_expired(
    single: RedisClient, postgres: PostgresServer, tmp_path: Path
) -> None:
    shop = Shop(single, postgres.database(), tmp_path)
    conversation = await rich(shop)
    async with shop.pod():
        await shop.expire(conversation)
        assert await told(shop, conversation, tenant="other") is Code.CONVERSATION_NOT_FOUND
        with pytest.raises(ChatError) as caught:
            await shop.sessions.delete("other", conversation)
        assert caught.value.code is Code.CONVERSATION_NOT_FOUND
        await shop.archived()
        assert await told(shop, conversation) is None
