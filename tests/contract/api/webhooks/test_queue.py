"""The queues of webhooks, on real Redis servers of every topology."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from uuid_utils import uuid7

from chatfleet_api.domain.live import Live
from chatfleet_api.redis.client import RedisClient, open_redis
from chatfleet_api.redis.lease import Lease
from chatfleet_api.webhooks import dead_letters, users
from chatfleet_api.webhooks import queue as queues
from chatfleet_api.webhooks.dead_letters import DeadLetters
from chatfleet_api.webhooks.event import USERS, Notice
from chatfleet_api.webhooks.queue import Member, WebhookQueue, notify_command, sender_key
from chatfleet_api.webhooks.user_webhook import MAX_USERS, UserWebhook
from chatfleet_api.webhooks.users import RedisUserWebhooks
from harness.redis.topologies import RESTRICTED, TOPOLOGIES, Topologies

AT = "2026-01-02T00:00:00.000Z"
BODY = {"type": "feedback", "timestamp": AT, "data": {"tenant": "shop", "conversation_id": "c", "comment": "secret"}}
EVENT = json.dumps({"at": AT, "body": json.dumps(BODY)})


@pytest.fixture(params=[*TOPOLOGIES, *RESTRICTED])
async def client(request: pytest.FixtureRequest, topologies: Topologies) -> AsyncIterator[RedisClient]:
    """A Redis that no other test has: each is a ChatDeployment of its own."""
    async with open_redis(topologies(request.param), "tests", f"hooks-{uuid7()}") as redis_client:
        yield redis_client


async def put(client: RedisClient, *ids: str, group: str = "g", names: tuple[str, ...] = ("crm",)) -> None:
    for ident in ids:
        notice = Notice(ident, group, [(name, EVENT) for name in names])
        await client.call(*notify_command(client, notice))


async def holder(client: RedisClient, owner: str = "one") -> WebhookQueue:
    assert await Lease(client, sender_key(client), owner, clock=time.monotonic).hold()
    return WebhookQueue(client, "crm", owner)


async def waiting(queue: WebhookQueue) -> list[str]:
    return [each.id for each in (await queue.look()).first]


async def test_events_wait_in_order_once_each_for_every_webhook(client: RedisClient) -> None:
    await put(client, "msg_1", "msg_2", "msg_1", names=("crm", "other"))
    queue = await holder(client)
    assert await waiting(queue) == await waiting(WebhookQueue(client, "other", "one")) == ["msg_1", "msg_2"]
    event = await queue.event(Member("g", "msg_1"))
    assert event is not None
    assert json.loads(event.body) == BODY
    await queue.delivered(Member("g", "msg_1"))
    assert await waiting(queue) == ["msg_2"]
    assert await waiting(WebhookQueue(client, "other", "one")) == ["msg_1", "msg_2"]
    assert await queue.event(Member("g", "msg_1")) is None


async def test_a_full_queue_drops_and_counts_what_comes(client: RedisClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "NOTIFY", queues.NOTIFY.replace(f">= {queues.MAX_QUEUED} ", ">= 2 "))
    await put(client, "msg_1", "msg_2", "msg_3", "msg_4")
    found = await (await holder(client)).look()
    assert ([each.id for each in found.first], found.size, found.dropped) == (["msg_1", "msg_2"], 2, 2)


async def test_dead_letters_are_bounded_and_the_oldest_go_first(
    client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "GIVE_UP", queues.GIVE_UP.replace(f"-1 - {queues.MAX_DEAD}", "-1 - 2"))
    names = [f"msg_{number}" for number in range(5)]
    await put(client, *names)
    queue = await holder(client)
    for ident in names[:4]:
        await queue.give_up(Member("g", ident))
    found = await queue.look()
    assert ([each.id for each in found.first], found.dead) == (names[4:], 2)
    kept = [ident for ident in names if await queue.event(Member("g", ident)) is not None]
    assert kept == names[2:]


async def test_one_process_has_the_lease_and_one_without_it_changes_nothing(client: RedisClient) -> None:
    await put(client, "msg_1")
    first, second = (Lease(client, sender_key(client), owner, clock=time.monotonic) for owner in ("one", "two"))
    assert await first.hold()
    assert await first.hold()
    assert not await second.hold()
    zombie = WebhookQueue(client, "crm", "two")
    await zombie.delivered(Member("g", "msg_1"))
    await zombie.give_up(Member("g", "msg_1"))
    await second.release()
    found = await zombie.look()
    assert (found.size, found.dead) == (1, 0)
    await first.release()
    assert first.seconds_left < 0
    assert await second.hold()
    assert second.seconds_left > 0


def letters_of(client: RedisClient) -> DeadLetters:
    return DeadLetters(client, Live(lambda: ["crm"]), lambda: datetime(2026, 1, 4, tzinfo=UTC))


async def given_up(client: RedisClient, *ids: str) -> WebhookQueue:
    await put(client, *ids)
    queue = await holder(client)
    for ident in ids:
        await queue.give_up(Member("g", ident))
    return queue


async def test_dead_letters_are_listed_without_content_and_replayed_in_order_for_a_day_more(
    client: RedisClient,
) -> None:
    queue = await given_up(client, "msg_1", "msg_2", "msg_3")
    await put(client, "msg_4")
    letters = letters_of(client)
    [state] = await letters.states()
    assert (state.name, state.queued, state.oldest, state.dead_letters) == ("crm", 1, AT, 3)
    newest, *_ = await letters.letters("crm", limit=2)
    assert (newest.id, newest.type, newest.at, newest.tenant, newest.conversation_id, newest.run) == (
        *("msg_3", "feedback", AT),
        *("shop", "c", None),
    )
    assert "secret" not in str(newest)

    assert await letters.replay("crm", "msg_2") == 1
    assert await letters.replay("crm", "msg_2") == 0
    assert await letters.replay("crm") == 2
    assert await waiting(queue) == ["msg_4", "msg_2", "msg_1", "msg_3"]
    event = await queue.event(Member("g", "msg_1"))
    assert event is not None
    assert (event.at, json.loads(event.body)) == ("2026-01-04T00:00:00.000+00:00", BODY)
    assert await letters.letters("crm", limit=100) == []


async def test_deleted_dead_letters_leave_nothing_and_those_that_were_replayed_are_kept(client: RedisClient) -> None:
    queue = await given_up(client, "msg_1", "msg_2", "msg_3")
    letters = letters_of(client)
    await letters.replay("crm", "msg_1")
    assert [await letters.delete("crm", ident) for ident in ("msg_1", "msg_2", "msg_2")] == [0, 1, 0]
    assert await letters.delete("crm") == 1
    kept = [ident for ident in ("msg_1", "msg_2", "msg_3") if await queue.event(Member("g", ident)) is not None]
    assert kept == await waiting(queue) == ["msg_1"]


async def test_a_full_queue_takes_no_more_dead_letters_than_it_has_room_for(
    client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = await given_up(client, "msg_1", "msg_2", "msg_3")
    await put(client, "msg_4")
    monkeypatch.setattr(dead_letters, "REPLAY", dead_letters.REPLAY.replace(f"= {queues.MAX_QUEUED} -", "= 2 -"))
    assert await letters_of(client).replay("crm") == 1
    assert await waiting(queue) == ["msg_4", "msg_1"]
    assert (await queue.look()).dead == 2


async def test_several_administrators_at_a_time_change_each_dead_letter_once(client: RedisClient) -> None:
    queue = await given_up(client, *(f"msg_{number}" for number in range(5)))
    letters = letters_of(client)
    steps = (letters.replay("crm"), letters.delete("crm"), letters.replay("crm"), letters.delete("crm"))
    assert sum(await asyncio.gather(*steps)) == 5
    for ident in await waiting(queue):
        assert await queue.event(Member("g", ident)) is not None


OWN = UserWebhook("https://ann.example/", "whsec_x", AT)


async def put_own(client: RedisClient, *ids: str, owner: str = "shop/ann") -> None:
    for ident in ids:
        await client.call(*notify_command(client, Notice(ident, "c", [("crm", EVENT)], (owner, EVENT))))


async def test_events_of_a_user_are_queued_while_the_user_has_a_webhook(client: RedisClient) -> None:
    store = RedisUserWebhooks(client)
    await put_own(client, "msg_1")
    assert await store.put("shop/ann", OWN)
    await put_own(client, "msg_2", "msg_3", "msg_2")
    await put_own(client, "msg_4", owner="shop/bob")
    await holder(client)
    queue = WebhookQueue(client, USERS, "one")
    assert (await queue.look()).first == [Member("shop/ann", "msg_2"), Member("shop/ann", "msg_3")]
    assert await store.get("shop/ann") == OWN
    assert await store.get("shop/bob") is None
    await store.delete("shop/ann")
    await put_own(client, "msg_5")
    assert (await queue.look()).size == 2
    assert await waiting(WebhookQueue(client, "crm", "one")) == [f"msg_{number}" for number in (1, 2, 3, 4, 5)]


async def test_a_user_whose_events_wait_leaves_room_for_others(
    client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "NOTIFY", queues.NOTIFY.replace(f"> {queues.MAX_QUEUED_OF_USER} ", "> 2 "))
    store, queue = RedisUserWebhooks(client), WebhookQueue(client, USERS, "one")
    for owner in ("shop/ann", "shop/bob"):
        await store.put(owner, OWN)
    await holder(client)
    await put_own(client, "msg_1", "msg_2", "msg_3", "msg_4")
    await put_own(client, "msg_5", owner="shop/bob")
    found = await queue.look()
    assert ([each.id for each in found.first], found.dropped) == (["msg_1", "msg_2", "msg_5"], 2)
    await queue.delivered(Member("shop/ann", "msg_1"))
    await queue.delivered(Member("shop/ann", "msg_1"))
    await queue.give_up(Member("shop/ann", "msg_2"))
    await put_own(client, "msg_6", "msg_7", "msg_8")
    found = await queue.look()
    assert ([each.id for each in found.first], found.dropped) == (["msg_5", "msg_6", "msg_7"], 3)


async def test_webhooks_of_users_are_bounded(client: RedisClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "PUT", users.PUT.replace(f"> {MAX_USERS} ", "> 2 "))
    store = RedisUserWebhooks(client)
    assert [await store.put(owner, OWN) for owner in ("a/a", "a/b", "a/b", "a/c")] == [True, True, True, False]
    for _ in range(2):
        await store.delete("a/a")
    assert [await store.put(owner, OWN) for owner in ("a/c", "a/d")] == [True, False]
