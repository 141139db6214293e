"""Conversations of a real Redis in a real PostgreSQL: all of them, once, in order, whatever is killed."""

import asyncio
import json
import time
from base64 import b64encode
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace
from typing_extensions import override
from uuid_utils import uuid7

from chatfleet_api.archive import archived, rows, statements
from chatfleet_api.archive import changes as changing
from chatfleet_api.archive import marks as marking
from chatfleet_api.archive.changes import Changes
from chatfleet_api.archive.keeper import ArchiveKeeper
from chatfleet_api.archive.marks import Marks, Queued, marks_keys, writer_key
from chatfleet_api.archive.postgres import (
    PostgresArchive,
    RejectedRowsError,
    TermLostError,
    TooSlowError,
    UnavailableError,
)
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Usage
from chatfleet_api.domain.live import Live
from chatfleet_api.redis import lease as leases
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.redis.connect import Command
from chatfleet_api.redis.lease import Lease
from chatfleet_api.sessions.feedback import Feedback
from chatfleet_api.sessions.keys import attachment_keys, conversation_keys
from chatfleet_api.sessions.store import Append, Conversation, StoredMessage, removed
from chatfleet_contract.report import State
from harness.pods.archived import NOW, NOWHERE, SETTLING, TENANTS, TTL, Shop, message
from harness.polling import eventually_async
from harness.postgres import PostgresServer, pooled, postgres_server

pytestmark = pytest.mark.lasts(40)

MESSAGES = "SELECT * FROM chatfleet.messages ORDER BY conversation_id, position"
ID = "0199d0a8-7a4c-7000-8000-000000000001"
TOO_LONG = "".join(sha256(bytes([number])).hexdigest() for number in range(200))
"""For an index of PostgreSQL, in any compression: one of its limits."""


@pytest.mark.feature(35)
async def test_a_conversation_is_archived_as_it_is_with_feedback_and_usage(
    client: RedisClient, postgres: PostgresServer, tmp_path: Path
) -> None:
    shop = Shop(client, postgres.database(), tmp_path)
    conversation = await shop.conversation()
    question = message("How \\u0000 \x00 are \\\x00 you? 🎈")
    pending = StoredMessage(str(uuid7()), "assistant", "", NOW, status="pending", run=str(uuid7()))
    usage = Usage(input_tokens=3, output_tokens=5)
    answer = StoredMessage(pending.id, "assistant", "Well", NOW, provider="a", model="m", usage=usage, run=pending.run)
    await shop.say(conversation, question, pending)
    await shop.say(conversation, answer)
    await shop.feedback.put("acme", conversation, Feedback("ann", answer.id, NOW, NOW, thumb="up", rating=4))
    async with shop.pod():
        await shop.archived()
    (kept,) = shop.rows("SELECT * FROM chatfleet.conversations")
    assert (kept["tenant"], str(kept["id"]), kept["user_id"], kept["title"]) == ("acme", conversation, "ann", "A title")
    assert (kept["metadata"], kept["version"], kept["head"]) == ({"k": ["v", 1]}, 2, None)
    first, second = shop.rows(MESSAGES)
    assert first["content"] == "How \\u0000 \ufffd are \\\ufffd you? 🎈"
    assert (second["content"], second["status"], str(second["id"])) == ("Well", "complete", answer.id)
    assert second["created_at"].isoformat(timespec="milliseconds") == NOW
    assert second["metadata"]["run"] == answer.run
    (given,) = shop.rows("SELECT * FROM chatfleet.feedback")
    assert (str(given["message_id"]), given["thumb"], given["rating"]) == (answer.id, "up", 4)
    (used,) = shop.rows("SELECT * FROM chatfleet.usage")
    assert (used["input_tokens"], used["output_tokens"], used["model"], used["user_id"]) == (3, 5, "m", "ann")


async def test_what_is_removed_and_deleted_is_so_in_the_archive_and_usage_stays(
    client: RedisClient, postgres: PostgresServer, tmp_path: Path
) -> None:
    shop = Shop(client, postgres.database(), tmp_path)
    kept, deleted = await shop.conversation(), await shop.conversation()
    said = [message(text, usage=Usage(input_tokens=1, output_tokens=1)) for text in ("a", "secret", "c")]
    for conversation in (kept, deleted):
        await shop.say(conversation, *said)
        await shop.feedback.put("acme", conversation, Feedback("ann", said[1].id, NOW, NOW, comment="mine"))
    async with shop.pod():
        await shop.archived()
        assert [row["content"] for row in shop.rows(MESSAGES)] == ["a", "secret", "c"] * 2
        await shop.sessions.remove("acme", kept, removed(said[1].id), now=NOW)
        await shop.sessions.delete("acme", deleted)
        await shop.archived()
        assert [(row["content"], row["removed"]) for row in shop.rows(MESSAGES)] == [
            ("a", False),
            ("", True),
            ("c", False),
        ]
        assert [str(row["id"]) for row in shop.rows("SELECT id FROM chatfleet.conversations")] == [kept]
        assert shop.rows("SELECT * FROM chatfleet.feedback") == []
        await shop.sessions.create("acme", Conversation(deleted, None, "again", {}, NOW, NOW))
        await shop.say(deleted, message("new"))
        await shop.archived()
    assert [row["content"] for row in shop.rows(MESSAGES) if str(row["conversation_id"]) == deleted] == ["new"]
    assert len(shop.rows("SELECT * FROM chatfleet.usage")) == 6


async def test_an_image_is_archived_with_its_message_and_kept_in_redis_no_longer_than_that(
    single: RedisClient, postgres: PostgresServer, tmp_path: Path
) -> None:
    shop = Shop(single, postgres.database(), tmp_path)
    image, conversation = b"GIF89a" + bytes(2000), await shop.conversation()
    part = {"type": "input_image", "image_url": f"data:image/gif;base64,{b64encode(image).decode()}"}
    said = replace(message("What is this?"), item=json.dumps({"role": "user", "content": [part]}))
    await shop.say(conversation, said)
    data, uses = attachment_keys(single, "acme", sha256(image).hexdigest())
    assert await single.call("GET", data) == image
    async with shop.pod():
        await shop.archived()
        (kept,) = shop.rows(MESSAGES)
        assert kept["metadata"]["item"] == said.item
    assert all([0 < await single.call("TTL", key) <= TTL for key in (data, uses)])


class KilledLease(Lease):
    """That of a process that is killed: it releases nothing."""

    @override
    async def release(self) -> None:
        pass


ROUNDS = 10


def has_written(keeper: ArchiveKeeper) -> bool:
    return keeper.messages > 0


async def test_a_batch_has_few_conversations_whose_images_are_large(
    single: RedisClient, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changing, "MAX_ATTACHED_BYTES", 5000)
    shop, marks = Shop(single, postgres.database(), tmp_path), Marks(single, settling=0)
    for number in range(3):
        data = b64encode(bytes([number]) * 2000).decode()
        part = {"type": "input_image", "image_url": f"data:image/gif;base64,{data}"}
        item = json.dumps({"role": "user", "content": [part]})
        await shop.say(await shop.conversation(), replace(message("What is this?"), item=item))
    assert len(await changing.read_changes(single, (await marks.look(10)).due)) == 2
    async with shop.pod():
        await shop.archived()
    assert len(shop.rows(MESSAGES)) == 3


async def test_a_batch_that_is_too_much_is_archived_in_smaller_ones(
    single: RedisClient, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = PostgresArchive.write

    async def slow(self: PostgresArchive, changes: Sequence[Changes], term: int) -> None:
        if len(changes) > 2:
            raise UnavailableError("canceling statement due to statement timeout")
        await write(self, changes, term)

    monkeypatch.setattr(PostgresArchive, "write", slow)
    shop = Shop(single, postgres.database(), tmp_path)
    for number in range(5):
        await shop.say(await shop.conversation(), message(f"number {number}"))
    async with shop.pod():
        await shop.archived()
    assert len(shop.rows(MESSAGES)) == 5


@pytest.mark.feature(35)
@pytest.mark.timeout(120)
async def test_ten_crashes_of_postgresql_and_of_the_writer_lose_and_double_nothing(
    single: RedisClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.1)
    with postgres_server() as server:
        shop = Shop(single, server.database(), tmp_path, lease=partial(KilledLease, seconds=0.5))
        known = [await shop.conversation(tenant) for tenant in TENANTS for _ in range(10)]
        said: dict[str, list[str]] = {conversation: [] for conversation in known}

        async def chat(conversation: str, tenant: str) -> None:
            for number in range(10):
                new = [message(f"{number}.{part}") for part in range(2)]
                await shop.say(conversation, *new, tenant=tenant)
                said[conversation] += [each.id for each in new]

        server.crash()
        for _ in range(ROUNDS):
            with server.running():
                async with asyncio.TaskGroup() as chats:
                    for place, conversation in enumerate(known):
                        chats.create_task(chat(conversation, TENANTS[place // 10]))
                    async with shop.pod() as keeper:
                        await eventually_async(partial(has_written, keeper))
                        server.crash()
        with server.running():
            async with shop.pod():
                await shop.archived()
            found: dict[str, list[str]] = {conversation: [] for conversation in known}
            for row in shop.rows(MESSAGES):
                found[str(row["conversation_id"])].append(str(row["id"]))
        assert found == said
        assert sum(map(len, said.values())) == 20 * 20 * ROUNDS


async def test_postgresql_that_is_down_stops_no_conversation_and_is_reported(
    single: RedisClient, postgres: PostgresServer, tmp_path: Path
) -> None:
    shop = Shop(single, postgres.database(), tmp_path)
    good = shop.url
    (tmp_path / "postgres").write_text("postgresql://user:hunter2@127.0.0.1:1/name")
    async with shop.pod() as keeper:
        conversation = await shop.conversation()
        await shop.say(conversation, message("hi"))
        await eventually_async(lambda: keeper.state is not None and "wait: 1 of" in (keeper.state.message or ""))
        assert keeper.state is not None
        assert keeper.state.state is State.DOWN
        assert "refused" in (keeper.state.message or "")
        assert "hunter2" not in (keeper.state.message or "")
        await eventually_async(lambda: keeper.oldest_seconds > 0)
        (tmp_path / "postgres").write_text(good)  # the Secret is corrected, and no pod restarts
        await shop.archived()
        await eventually_async(lambda: keeper.state is not None and keeper.state.state is State.UP)
    assert [row["content"] for row in shop.rows(MESSAGES)] == ["hi"]


async def test_another_url_file_replaces_one_archive_by_one_for_all_who_look_at_once(
    single: RedisClient, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(single, postgres.database(), tmp_path)
    (other := tmp_path / "other").write_text(shop.url)
    configs = [shop.config]
    lease = Lease(single, writer_key(single), "pod", clock=time.monotonic)
    keeper = ArchiveKeeper(single, Live(lambda: configs[-1]), lease, shop.marks)
    former = await keeper.available()
    assert former is not None
    await former.check()  # opens its connections
    configs.append(shop.config.model_copy(update={"archive_url_file": str(other)}))
    opened = set(await asyncio.gather(keeper.available(), keeper.available()))
    assert opened == {await keeper.available()}
    assert former not in opened
    monkeypatch.setattr("chatfleet_api.archive.postgres.connect", pytest.fail)
    for use in (former.check, former.begin_term, partial(former.read, "acme", "SELECT 'a'", {})):
        with pytest.raises(UnavailableError, match="its connections are closed"):  # who still has it opens no others
            await use()


async def test_a_conversation_outlives_its_time_until_it_is_archived(
    single: RedisClient, postgres: PostgresServer, tmp_path: Path
) -> None:
    shop = Shop(single, postgres.database(), tmp_path)
    conversation = await shop.conversation()
    await shop.say(conversation, message("hi"))
    keys = [single.key("acme", kind, conversation) for kind in ("conversation", "messages")]
    assert all([await single.call("TTL", key) > 100 * TTL for key in keys])
    async with shop.pod():
        await shop.archived()
    assert all([await single.call("TTL", key) <= TTL for key in keys])


async def test_feedback_that_is_not_archived_outlives_its_conversation_s_time_and_its_deletion_by_age(
    single: RedisClient, postgres: PostgresServer, tmp_path: Path
) -> None:
    shop = Shop(single, postgres.database(), tmp_path)
    conversation = await shop.conversation()
    await shop.say(conversation, message("hi"))
    keys = [single.key("acme", kind, conversation) for kind in ("conversation", "messages")]
    async with shop.pod() as keeper:
        await shop.archived()
        await shop.down(keeper)
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        given = await shop.feedback.put("acme", conversation, Feedback("ann", None, now, now, thumb="up"))
        assert all([await single.call("TTL", key) > 100 * TTL for key in keys])
        assert await shop.sessions.delete_older("acme", datetime.now(UTC) + timedelta(days=1), limit=10) == 0
        assert await shop.feedback.all("acme", conversation) == (given,)
        await shop.up(keeper)
        await shop.archived()
    assert all([await single.call("TTL", key) <= TTL for key in keys])
    assert [row["thumb"] for row in shop.rows("SELECT * FROM chatfleet.feedback")] == ["up"]


async def test_a_full_queue_refuses_changes_of_further_conversations_alone(single: RedisClient) -> None:
    marks = Marks(single, most=2)
    first, second, third = (str(uuid7()) for _ in range(3))
    await marks.add("acme", first)
    await marks.add("acme", second)
    await marks.add("acme", first, "D")
    with pytest.raises(ChatError) as caught:
        await marks.add("acme", third)
    assert caught.value.code is Code.STORAGE_UNAVAILABLE
    assert "archive" in (caught.value.detail or "")


async def test_a_tenant_leaves_room_in_the_queue_for_others(single: RedisClient) -> None:
    marks = Marks(single, most=20, settling=0)

    async def fill(tenant: str) -> int:
        for number in range(100):
            try:
                await marks.add(tenant, str(uuid7()))
            except ChatError:
                return number
        return 100

    async def settle(tenant: str) -> None:
        found = await marks.look(100)
        outcomes = [(each, "done") for each in found.due if each.tenant == tenant]
        await marks.settle(found.at, outcomes)
        await marks.settle(found.at, outcomes)  # the reply to the first was lost

    assert [await fill("n:a/b"), await fill("other"), await fill("third")] == [18, 2, 0]
    await settle("n:a/b")
    assert [await fill("other"), await fill("n:a/b")] == [16, 2]
    await settle("other")
    await settle("n:a/b")
    assert await single.call("EXISTS", *marks_keys(single)) == 0


async def test_a_mark_stays_until_it_is_older_than_a_command_under_way_and_there_is_no_newer_one(
    single: RedisClient,
) -> None:
    eager, patient, conversation = Marks(single, settling=0), Marks(single, settling=60), str(uuid7())

    async def settled(by: Marks, found: Queued) -> int:
        await by.settle(found.at, [(each, "done") for each in found.due])
        return (await eager.look(0)).size

    await eager.add("acme", conversation, "R")
    assert (await patient.look(10)).due == []
    assert await settled(patient, await eager.look(10)) == 1  # the change may arrive after it was read
    found = await eager.look(10)
    await eager.add("acme", conversation, "F")
    assert await settled(eager, found) == 1  # a change came after it was read
    found = await eager.look(10)
    assert [(each.tenant, each.conversation) for each in found.due] == [("acme", conversation)]
    assert all(found.due[0].about(flag) for flag in "RF")
    assert await settled(eager, found) == 0


@pytest.mark.parametrize(("user", "ident"), [("ann", "no-uuid"), (TOO_LONG, ID)], ids=["value", "limit"])
async def test_a_conversation_that_postgresql_rejects_stops_no_other(
    single: RedisClient, postgres: PostgresServer, tmp_path: Path, user: str, ident: str
) -> None:
    shop = Shop(single, postgres.database(), tmp_path)
    broken, whole = await shop.conversation(user=user), await shop.conversation()
    await shop.say(broken, StoredMessage(ident, "user", "x", NOW))
    await shop.say(whole, message("fine"))
    later = datetime.now(UTC) + timedelta(days=1)
    async with shop.pod() as keeper:
        await eventually_async(lambda: len(_written(shop)) == 1)
        await eventually_async(partial(_waits, shop, 1))
        await eventually_async(lambda: keeper.oldest_seconds > 1)  # it has waited, although it is tried again later

        async def only_whole_is_deleted() -> bool:
            return await shop.sessions.delete_older("acme", later, limit=10) == 1

        await eventually_async(only_whole_is_deleted)
        assert await shop.sessions.delete_older("acme", later, limit=10) == 0
    assert [row["content"] for row in shop.rows(MESSAGES)] == ["fine"]
    assert [each.content for each in await shop.sessions.messages("acme", broken)] == ["x"]


async def test_a_pod_whose_term_is_lost_forgets_what_was_rejected(
    single: RedisClient, postgres: PostgresServer, tmp_path: Path
) -> None:
    shop = Shop(single, postgres.database(), tmp_path)
    await shop.say(await shop.conversation(), StoredMessage("no-uuid", "user", "x", NOW))
    async with shop.pod() as keeper:
        await eventually_async(lambda: keeper.oldest_seconds > 1)
        other = PostgresArchive(lambda: shop.url, "local/local")
        await other.begin_term()
        await other.aclose()
        await shop.say(await shop.conversation(), message("hi"))
        await eventually_async(partial(_waits, shop, 1))
        await eventually_async(lambda: keeper.oldest_seconds == 0)


async def test_what_was_rejected_is_archived_once_it_is_taken_and_is_deleted_by_age_again(
    single: RedisClient,
    postgres: PostgresServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(marking, "RETRY_FAILED_SECONDS", 0.1)
    write, repaired = PostgresArchive.write, list[bool]()

    async def rejecting(self: PostgresArchive, changes: Sequence[Changes], term: int) -> None:
        if not repaired:
            raise RejectedRowsError("value too long")
        await write(self, changes, term)

    monkeypatch.setattr(PostgresArchive, "write", rejecting)
    shop, later = Shop(single, postgres.database(), tmp_path), datetime.now(UTC) + timedelta(days=1)
    await shop.say(conversation := await shop.conversation(), message("hi"))
    (key, _) = conversation_keys(single, "acme", conversation)
    async with shop.pod() as keeper:
        await eventually_async(lambda: keeper.oldest_seconds > 1)
        await single.call("EXPIRE", key, 60)

        async def is_kept() -> bool:
            return bool(await single.call("TTL", key) > 100 * TTL)

        await eventually_async(is_kept)  # each attempt does
        assert await shop.in_redis.delete_older("acme", later, limit=10) == 0
        assert f"Conversation {conversation} of tenant acme is not archived: value too long" in caplog.messages
        repaired.append(True)
        await shop.archived()
        await eventually_async(lambda: keeper.oldest_seconds == 0)
    assert [row["content"] for row in shop.rows(MESSAGES)] == ["hi"]
    assert await shop.in_redis.delete_older("acme", later, limit=10) == 1


async def _waits(shop: Shop, conversations: int) -> bool:
    return (await shop.marks.look(0)).size == conversations


async def test_a_conversation_whose_text_is_large_is_read_in_parts(
    client: RedisClient, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changing, "MAX_TEXT_BYTES", 2000)
    shop, sizes, call_all = Shop(client, postgres.database(), tmp_path), list[int](), RedisClient.call_all

    async def noted(self: RedisClient, commands: Sequence[Command]) -> list[Any]:
        replies = await call_all(self, commands)
        found = [reply for command, reply in zip(commands, replies, strict=True) if changing.READ in command and reply]
        sizes.append(sum(len(entry) for reply in found for entry in reply[5]))
        return replies

    monkeypatch.setattr(RedisClient, "call_all", noted)
    conversation, texts = await shop.conversation(), [str(number) + "x" * (number * 97 % 1800) for number in range(25)]
    said = [message(text) for text in texts]
    await shop.say(conversation, *said)
    async with shop.pod() as keeper:
        await shop.archived()
        assert [row["content"] for row in shop.rows(MESSAGES)] == texts
        assert keeper.messages == len(texts)
        await shop.sessions.remove("acme", conversation, removed(said[3].id), now=NOW)  # all of it is read again
        await shop.archived()
    assert [row["content"] for row in shop.rows(MESSAGES)] == [*texts[:3], "", *texts[4:]]
    assert 0 < max(sizes) <= 2000


SLEEPS = """
CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(5); RETURN NEW; END $$;
CREATE TRIGGER pause BEFORE INSERT ON chatfleet.messages FOR EACH ROW WHEN (NEW.content = 'large')
  EXECUTE FUNCTION pause();
"""


@pytest.mark.parametrize("slow", ["Redis", "PostgreSQL"])
async def test_a_conversation_that_is_too_much_alone_stops_no_other(
    single: RedisClient, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    shop, call_all = Shop(single, postgres.database(), tmp_path), RedisClient.call_all
    large, other = await shop.conversation(), await shop.conversation()
    await shop.say(large, message("large"))
    await shop.say(other, message("hi"))

    async def late(self: RedisClient, commands: Sequence[Command]) -> list[Any]:
        if any(changing.READ in command and large in str(command[3]) for command in commands):
            raise ChatError(Code.STORAGE_UNAVAILABLE, detail="TimeoutError")
        return await call_all(self, commands)

    if slow == "Redis":
        monkeypatch.setattr(RedisClient, "call_all", late)
    else:
        archive = PostgresArchive(lambda: shop.url, "tests/archive")
        await archive.begin_term()  # makes the tables
        await archive.aclose()
        with psycopg.connect(shop.url) as connection:
            connection.execute(SLEEPS)
        monkeypatch.setattr(statements, "BEGIN", statements.BEGIN.replace("%(timeout)s", "'300ms'"))
    async with shop.pod():
        await eventually_async(partial(_waits, shop, 1))
    assert [str(row["conversation_id"]) for row in shop.rows(MESSAGES)] == [other]


async def test_a_delay_that_passes_sets_no_conversation_aside(
    single: RedisClient, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, delays = PostgresArchive.write, [TooSlowError("canceling statement due to statement timeout")] * 3

    async def slow(self: PostgresArchive, changes: Sequence[Changes], term: int) -> None:
        if delays:
            raise delays.pop()
        await write(self, changes, term)

    monkeypatch.setattr(PostgresArchive, "write", slow)
    shop = Shop(single, postgres.database(), tmp_path)
    await shop.say(await shop.conversation(), message("hi"))
    async with shop.pod():
        await shop.archived()  # which takes a minute for one that is set aside
    assert delays == []


async def test_what_was_too_much_is_tried_again_beside_the_batch(
    single: RedisClient, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marking, "RETRY_FAILED_SECONDS", -SETTLING)  # it is due at each look
    write, tried = PostgresArchive.write, list[list[str]]()
    shop = Shop(single, postgres.database(), tmp_path)
    large = await shop.conversation()
    await shop.say(large, message("large"))

    async def slow(self: PostgresArchive, changes: Sequence[Changes], term: int) -> None:
        tried.append([each.marked.conversation for each in changes])
        if large in tried[-1]:
            raise TooSlowError("canceling statement due to statement timeout")
        await write(self, changes, term)

    monkeypatch.setattr(PostgresArchive, "write", slow)
    async with shop.pod():
        await eventually_async(lambda: len(tried) >= 8)  # of 100, 50, 25, 12, 6, 3 and 1; then again
        for _ in range(5):
            await shop.say(await shop.conversation(), message("hi"))
        await eventually_async(partial(_waits, shop, 1))
    assert len(shop.rows(MESSAGES)) == 5
    assert [each for each in tried if large in each and len(each) > 1] == []


def _written(shop: Shop) -> list[dict[str, Any]]:
    with suppress(psycopg.Error):
        return shop.rows(MESSAGES)
    return []


async def test_a_long_conversation_is_archived_in_parts_and_in_order(
    single: RedisClient, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changing, "MAX_ENTRIES", 100)
    monkeypatch.setattr(rows, "PART_BYTES", 10_000)
    shop = Shop(single, postgres.database(), tmp_path)
    conversation = await shop.conversation()
    texts = [f"number {number}" for number in range(250)]
    await shop.say(conversation, *map(message, texts))
    async with shop.pod() as keeper:
        await shop.archived()
        assert [row["content"] for row in shop.rows(MESSAGES)] == texts
        await shop.say(conversation, message("the last"))
        await shop.archived()
        assert keeper.messages == 251  # each was read once
    assert [row["content"] for row in shop.rows(MESSAGES)] == [*texts, "the last"]


async def test_what_was_not_taken_is_deleted_by_age_only_once_all_of_it_is_archived(
    single: RedisClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changing, "MAX_ENTRIES", 1)
    shop, marks, later = (
        Shop(single, NOWHERE, tmp_path),
        Marks(single, settling=0),
        datetime.now(UTC) + timedelta(days=1),
    )
    await shop.say(await shop.conversation(), message("first"), message("last"))
    due = (await marks.look(1)).due
    await changing.note_unarchived(single, due, TTL)
    for deleted in (0, 1):
        await changing.note_archived(single, await changing.read_changes(single, due), TTL)
        assert await shop.in_redis.delete_older("acme", later, limit=10) == deleted


async def test_what_is_deleted_by_age_stays_in_the_archive_and_goes_only_once_it_is_there(
    single: RedisClient, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archived, "SETTLING_SECONDS", 1.0)
    shop = Shop(single, postgres.database(), tmp_path)
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    made = Conversation(str(uuid7()), None, None, {}, now, now)
    await shop.sessions.create("acme", made)
    await shop.sessions.append("acme", made.id, Append((message("kept"),), now=now, expected_version=None))
    after = datetime.now(UTC) + timedelta(days=1)
    assert await shop.sessions.delete_older("acme", after, limit=10) == 0
    async with shop.pod():
        await shop.archived()

    async def deleted() -> bool:
        return await shop.sessions.delete_older("acme", after, limit=10) == 1

    await eventually_async(deleted)
    assert [row["content"] for row in shop.rows(MESSAGES)] == ["kept"]


async def test_it_works_behind_a_pooler_whose_one_connection_serves_all_transactions(
    single: RedisClient, postgres: PostgresServer, tmp_path: Path
) -> None:
    url = postgres.database()
    with pooled(url) as pooler:
        shop = Shop(single, pooler, tmp_path)
        known = {tenant: await shop.conversation(tenant) for tenant in TENANTS}
        for tenant, conversation in known.items():
            await shop.say(conversation, message(f"of {tenant}"), tenant=tenant)
        async with shop.pod():
            await shop.archived()
            for tenant, conversation in known.items():
                await shop.expire(conversation, tenant)
                assert [each.content for each in await shop.sessions.messages(tenant, conversation)] == [f"of {tenant}"]
        with psycopg.connect(pooler, prepare_threshold=None) as connection:  # the connection that the pod has used
            left = "SELECT current_user, current_setting('chatfleet.tenant', true), current_setting('lock_timeout')"
            assert connection.execute(left).fetchone() in {("postgres", "", "0"), ("postgres", None, "0")}
        assert {(row["tenant"], row["content"]) for row in shop.rows(MESSAGES)} == {
            (tenant, f"of {tenant}") for tenant in TENANTS
        }


async def test_a_writer_of_an_earlier_term_writes_nothing(postgres: PostgresServer) -> None:
    url = postgres.database()
    archive = PostgresArchive(lambda: url, "tests/archive")
    first = await archive.begin_term()
    second = await archive.begin_term()
    try:
        with pytest.raises(TermLostError):
            await archive.write([], first)
        await archive.write([], second)
    finally:
        await archive.aclose()


async def test_a_statement_that_takes_too_long_closes_no_connection(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.database()
    archive = PostgresArchive(lambda: url, "tests/archive")
    term = await archive.begin_term()
    process = partial(archive.read, "acme", "SELECT pg_backend_pid()::text", {})
    try:
        before = await process()
        monkeypatch.setattr(statements, "BEGIN", statements.BEGIN.replace("%(timeout)s", "'300ms'"))
        monkeypatch.setattr(statements, "TERM", "SELECT pg_sleep(5)")
        with pytest.raises(TooSlowError, match="statement timeout"):
            await archive.write([], term)
        assert await process() == before
    finally:
        await archive.aclose()
