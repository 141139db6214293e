"""Data of messages in Redis: once for a tenant, byte for byte, and gone with the last conversation that uses it."""

import threading
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256, shake_256
from typing import Literal, NamedTuple

import msgspec
import pytest
from uuid_utils import uuid7

from chatfleet_api.domain.errors import ChatError
from chatfleet_api.domain.large import LARGE_BYTES
from chatfleet_api.redis.client import RedisClient, open_redis
from chatfleet_api.sessions import attachments
from chatfleet_api.sessions.attached import LOST
from chatfleet_api.sessions.attachments import UNUSED_SECONDS, RedisAttachments
from chatfleet_api.sessions.keys import attachment_keys, conversation_keys
from chatfleet_api.sessions.redis import RedisSessionStore
from chatfleet_api.sessions.store import Append, Conversation, ResponsePlace, StoredMessage, removed
from harness.pods.live import fixed
from harness.pods.runs import conversations
from harness.redis.topologies import Topologies

NOW = datetime.now(UTC)
DATA = shake_256(b"image").digest(100_000)
DIGEST = sha256(DATA).hexdigest()
TTL = 10_000_000


class Kept(NamedTuple):
    """A store, and a tenant of the test alone."""

    store: RedisSessionStore
    client: RedisClient
    tenant: str

    async def conversation(self, *messages: StoredMessage, age: int = 0, listed: bool = True) -> str:
        stamp = (NOW - timedelta(days=age)).isoformat(timespec="milliseconds")
        new = Conversation(str(uuid7()), None, None, {}, stamp, stamp, listed=listed)
        append = Append(messages or (image(),), now=stamp, expected_version=None, create=new)
        await self.store.append(self.tenant, new.id, append)
        return new.id

    async def kept(self, tenant: str | None = None) -> bytes | None:
        found: bytes | None = await self.client.call(
            "GET", attachment_keys(self.client, tenant or self.tenant, DIGEST)[0]
        )
        return found

    async def seconds(self) -> tuple[int, int]:
        """Return how long the data, and the list of its users, will be there."""
        data, uses = [await self.client.call("TTL", key) for key in attachment_keys(self.client, self.tenant, DIGEST)]
        return data, uses


@pytest.fixture(params=["sentinel", "cluster-acl"])
async def kept(request: pytest.FixtureRequest, topologies: Topologies) -> AsyncIterator[Kept]:
    async with open_redis(topologies(request.param), "tests", "chat") as client:
        store = RedisSessionStore(client, conversations(ttl_seconds=TTL), fixed(0))
        yield Kept(store, client, f"tenant }}{{*/ {uuid7()}")


@pytest.fixture
async def alone(topologies: Topologies) -> AsyncIterator[Kept]:
    """The same on one kind of Redis, with all permissions."""
    async with open_redis(topologies("single"), "tests", "chat") as client:
        store = RedisSessionStore(client, conversations(ttl_seconds=TTL), fixed(0))
        yield Kept(store, client, f"tenant {uuid7()}")


def image(data: bytes = DATA) -> StoredMessage:
    url = f"data:image/png;base64,{b64encode(data).decode()}"
    item = {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": url}]}
    stamp = NOW.isoformat(timespec="milliseconds")
    return StoredMessage(str(uuid7()), "user", "", stamp, item=msgspec.json.encode(item).decode())


async def test_data_is_stored_once_for_all_conversations_and_comes_back_whole(kept: Kept) -> None:
    said = [image() for _ in range(10)]
    used = [await kept.conversation(said[0], said[1]), *[await kept.conversation(each) for each in said[2:]]]

    assert await kept.kept() == DATA
    assert await kept.store.messages(kept.tenant, used[0]) == tuple(said[:2])
    assert [await kept.store.messages(kept.tenant, each) for each in used[1:]] == [(each,) for each in said[2:]]
    keys = [conversation_keys(kept.client, kept.tenant, each)[1] for each in used]
    entries = [entry for key in keys for entry in await kept.client.call("LRANGE", key, 0, -1)]
    assert len(entries) == 10
    assert sum(map(len, entries)) < 5_000


async def test_it_goes_with_the_last_conversation_that_uses_it(kept: Kept) -> None:
    first, second, other = [await kept.conversation() for _ in range(2)] + [await kept.conversation(image(b"x" * 2000))]

    await kept.store.delete(kept.tenant, first)
    assert await kept.kept() == DATA
    await kept.store.delete(kept.tenant, second)
    assert await kept.kept() is None
    assert await kept.store.messages(kept.tenant, other)


async def remove_message(kept: Kept, conversation: str) -> None:
    for message in await kept.store.messages(kept.tenant, conversation):
        await kept.store.remove(kept.tenant, conversation, removed(message.id), now=message.created_at)


async def forget(kept: Kept, conversation: str) -> None:
    assert await kept.store.forget_response(kept.tenant, conversation, "run")


async def sweep(kept: Kept, conversation: str) -> None:  # noqa: ARG001  # the only old one
    assert await kept.store.delete_older(kept.tenant, NOW - timedelta(days=1), limit=10) == 1


@pytest.mark.parametrize("delete", [remove_message, forget, sweep])
async def test_it_goes_whichever_way_its_message_goes(
    kept: Kept, delete: Callable[[Kept, str], Awaitable[None]]
) -> None:
    question, answer = image(), StoredMessage(str(uuid7()), "assistant", "a", NOW.isoformat(), run="run")
    stamp = (NOW - timedelta(days=9)).isoformat(timespec="milliseconds")
    new = Conversation(str(uuid7()), None, None, {}, stamp, stamp, listed=delete is not forget)
    append = Append((question, answer), now=stamp, expected_version=None, create=new, response=ResponsePlace("run", 2))
    await kept.store.append(kept.tenant, new.id, append)
    assert await kept.store.response(kept.tenant, new.id, "run") == (question, answer)
    recent = await kept.conversation()

    await delete(kept, new.id)
    assert await kept.kept() == DATA
    await kept.store.delete(kept.tenant, recent)
    assert await kept.kept() == (DATA if delete is remove_message else None)


async def test_the_data_of_the_last_message_that_has_it_stays_for_an_hour_after_its_removal(alone: Kept) -> None:
    await remove_message(alone, await alone.conversation())

    assert 0 < max(await alone.seconds()) <= UNUSED_SECONDS


@pytest.mark.parametrize("step", ["keep", "leave"])
async def test_a_message_that_comes_while_the_last_one_with_its_data_is_removed_has_it(
    alone: Kept, monkeypatch: pytest.MonkeyPatch, step: Literal["keep", "leave"]
) -> None:
    first, second, now = image(), image(), NOW.isoformat(timespec="milliseconds")
    conversation = await alone.conversation(first)
    remove = partial(alone.store.remove, alone.tenant, conversation, removed(first.id), now=now)
    append = partial(alone.store.append, alone.tenant, conversation, Append((second,), now=now, expected_version=None))
    known = getattr(RedisAttachments, step)

    async def interrupted(*arguments: object) -> object:
        if step == "leave":
            await append()
        found = await known(*arguments)
        if step == "keep":
            await remove()
        return found

    monkeypatch.setattr(RedisAttachments, step, interrupted)
    await (append() if step == "keep" else remove())

    assert (await alone.store.messages(alone.tenant, conversation))[-1] == second
    assert min(await alone.seconds()) > TTL - 60


async def test_a_message_that_stays_keeps_what_it_shares_with_one_that_is_removed(alone: Kept) -> None:
    first, second = image(), image()
    conversation = await alone.conversation(first, second)

    await alone.store.remove(alone.tenant, conversation, removed(first.id), now=NOW.isoformat())

    assert [each for each in await alone.store.messages(alone.tenant, conversation) if not each.removed] == [second]


async def test_each_change_of_a_conversation_renews_it(alone: Kept) -> None:
    conversation = await alone.conversation()
    keys = attachment_keys(alone.client, alone.tenant, DIGEST)

    async def shorten() -> None:
        for key in keys:
            await alone.client.call("EXPIRE", key, 10)

    assert min(await alone.seconds()) > TTL - 60
    said = StoredMessage(str(uuid7()), "user", "hi", NOW.isoformat())
    await shorten()
    await alone.store.append(alone.tenant, conversation, Append((said,), now=NOW.isoformat(), expected_version=None))
    assert min(await alone.seconds()) > TTL - 60
    await shorten()
    await alone.store.update(alone.tenant, conversation, lambda known: known, now=NOW.isoformat())
    assert min(await alone.seconds()) > TTL - 60
    await shorten()
    await alone.store.remove(alone.tenant, conversation, removed(said.id), now=NOW.isoformat())
    assert min(await alone.seconds()) > TTL - 60


async def test_the_data_of_a_message_that_was_not_stored_does_not_stay(alone: Kept) -> None:
    conversation = await alone.conversation(StoredMessage(str(uuid7()), "user", "hi", NOW.isoformat()))

    with pytest.raises(ChatError):
        await alone.store.append(
            alone.tenant, conversation, Append((image(),), now=NOW.isoformat(), expected_version=7)
        )

    assert 0 < max(await alone.seconds()) <= UNUSED_SECONDS


async def test_a_conversation_that_has_expired_uses_nothing(alone: Kept) -> None:
    expired, left = await alone.conversation(), await alone.conversation()
    await alone.client.call("ZADD", attachment_keys(alone.client, alone.tenant, DIGEST)[1], 1, expired)

    await alone.store.delete(alone.tenant, left)

    assert await alone.kept() is None


async def test_an_outline_reads_no_data(alone: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    said = image()
    conversation = await alone.conversation(said)
    monkeypatch.delattr(RedisAttachments, "whole")

    (found,) = await alone.store.outline(alone.tenant, conversation)

    assert (found.id, found.status, len(found.item) < 1000) == (said.id, "complete", True)


async def test_tenants_share_nothing(alone: Kept) -> None:
    other = alone._replace(tenant=f"other {uuid7()}")
    mine, theirs = await alone.conversation(), await other.conversation()

    await alone.store.delete(alone.tenant, mine)

    assert await alone.kept() is None
    assert await other.kept() == DATA
    assert (await other.store.messages(other.tenant, theirs))[0].item


async def test_a_conversation_whose_data_redis_has_lost_can_go_on(alone: Kept) -> None:
    conversation = await alone.conversation()
    await alone.client.call("DEL", attachment_keys(alone.client, alone.tenant, DIGEST)[0])

    (message,) = await alone.store.messages(alone.tenant, conversation)

    assert msgspec.json.decode(message.item)["content"] == [{"type": "input_text", "text": LOST}]


async def test_large_data_is_taken_out_and_put_back_beside_the_event_loop(
    alone: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[threading.Thread] = []

    def noting(work: Callable[..., object]) -> Callable[..., object]:
        def noted(*arguments: object) -> object:
            seen.append(threading.current_thread())
            return work(*arguments)

        return noted

    for name in ("parted", "whole"):
        monkeypatch.setattr(attachments, name, noting(getattr(attachments, name)))
    await alone.store.messages(alone.tenant, await alone.conversation(image(bytes(LARGE_BYTES))))

    assert len(seen) == 2
    assert threading.current_thread() not in seen


async def test_data_beyond_one_batch_comes_back(alone: Kept) -> None:
    said = [image(shake_256(b"%d" % seed).digest(3_000_000)) for seed in range(3)]
    conversation = await alone.conversation(*said)

    assert await alone.store.messages(alone.tenant, conversation) == tuple(said)
