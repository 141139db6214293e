"""What is held until a user is inactive, on real Redis servers of every topology: each step of the scripts."""

import json
import time
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace
from uuid_utils import uuid7

from chatfleet_api.pod.configuration import local
from chatfleet_api.redis.client import RedisClient, open_redis
from chatfleet_api.redis.lease import Lease
from chatfleet_api.webhooks import inactive_users, presence, queue
from chatfleet_api.webhooks.event import USERS, Held, Notice, owner_of
from chatfleet_api.webhooks.inactive_users import InactiveUsers
from chatfleet_api.webhooks.inactivity import MAX_HELD_OF_USER, SETTLE_MS, due_users, held_keys, note_seen, seen_key
from chatfleet_api.webhooks.queue import LATE_MS, WebhookQueue, notify_command, sender_key
from chatfleet_api.webhooks.user_webhook import UserWebhook
from chatfleet_api.webhooks.users import RedisUserWebhooks
from chatfleet_contract.runtime import RuntimeWebhook
from chatfleet_contract.spec.webhooks import WebhookEvent
from harness.pods.live import fixed
from harness.polling import eventually_async
from harness.redis.topologies import RESTRICTED, TOPOLOGIES, Topologies

ANN, BOB = "shop/ann", "other/ann"
HOOK = RuntimeWebhook(name="crm", url="https://a.example", events=(WebhookEvent.USER_INACTIVE,), secrets_folder="/x")
CONFIG = local().model_copy(update={"webhooks": (HOOK,)})


@pytest.fixture(params=[*TOPOLOGIES, *RESTRICTED])
async def client(request: pytest.FixtureRequest, topologies: Topologies) -> AsyncIterator[RedisClient]:
    async with open_redis(topologies(request.param), "tests", f"inactive-{uuid7()}") as redis_client:
        yield redis_client


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let users be looked at without a pause after the end of their answers."""
    for module, name in ((queue, "NOTIFY"), (inactive_users, "RELEASING")):
        text = getattr(module, name)
        assert f"+ {SETTLE_MS}" in text
        monkeypatch.setattr(module, name, text.replace(f"+ {SETTLE_MS}", "+ 0"))


async def ended(client: RedisClient, *ids: str, owner: str = ANN, seconds: int = 0, hook: str = "crm") -> None:
    for ident in ids:
        body = json.dumps({"type": "user_inactive", "data": {"run": ident}})
        entry = json.dumps({"at": "2026-01-02T00:00:00.000Z", "body": body})
        await client.call(*notify_command(client, Notice(ident, "c", [], None, Held(owner, [(hook, seconds, entry)]))))


class Keeper:
    """The pod that sends."""

    def __init__(self, client: RedisClient, owner: str = "one") -> None:
        self._client, self._owner = client, owner
        self.released: list[str] = []
        self._users = InactiveUsers(client, owner, lambda data: self.released.append(data["run"]))

    async def step(self) -> list[str]:
        """Release what is due; return the ids in the queue."""
        assert await Lease(self._client, sender_key(self._client), "one", clock=time.monotonic).hold()
        await self._users.step(CONFIG)
        return [each.id for each in (await WebhookQueue(self._client, "crm", "one").look()).first]


async def is_empty(client: RedisClient) -> bool:
    due, held = held_keys(client)
    return not await client.call("ZCARD", due) and await client.call("HGETALL", held) in ({}, {b"#": b"0"})


async def test_an_event_is_queued_once_its_user_is_inactive_and_a_repeat_is_held_once(client: RedisClient) -> None:
    keeper = Keeper(client)
    await ended(client, "msg_1", "msg_1", "msg_2")
    assert await client.call("HGET", held_keys(client)[1], "#") == b"2"
    assert await keeper.step() == ["msg_1_inactive", "msg_2_inactive"]
    assert sorted(keeper.released) == ["msg_1", "msg_2"]
    assert await keeper.step() == ["msg_1_inactive", "msg_2_inactive"]
    assert await is_empty(client)


async def test_a_user_who_returns_has_no_event_and_neither_loses_that_of_another_tenant(client: RedisClient) -> None:
    keeper = Keeper(client)
    await ended(client, "msg_1")
    await ended(client, "msg_2", owner=BOB)
    await note_seen(client, [(ANN, 0)], keep_ms=60_000)
    assert await due_users(client) == [BOB]
    assert await keeper.step() == ["msg_2_inactive"]
    assert await is_empty(client)


async def test_who_has_seen_the_end_before_its_event_is_held_has_no_event(client: RedisClient) -> None:
    """On a cluster, the event comes after the end of its run."""
    await note_seen(client, [(ANN, 0)], keep_ms=60_000)
    await ended(client, "msg_1")
    assert await Keeper(client).step() == []
    assert await is_empty(client)


async def test_who_was_seen_before_the_end_is_inactive_after_the_time_since_then(client: RedisClient) -> None:
    keeper = Keeper(client)
    await ended(client, "msg_1", seconds=3600)
    await ended(client, "msg_2", seconds=1)
    before = LATE_MS + 100
    await note_seen(client, [(ANN, before)], keep_ms=60_000)
    assert await keeper.step() == ["msg_2_inactive"]
    assert await due_users(client) == []
    await note_seen(client, [(ANN, before)], keep_ms=60_000)
    await note_seen(client, [(ANN, 0)], keep_ms=60_000)
    assert await is_empty(client)


async def test_an_event_waits_for_its_time(client: RedisClient) -> None:
    keeper = Keeper(client)
    await note_seen(client, [(ANN, LATE_MS + 10)], keep_ms=60_000)
    await ended(client, "msg_1", seconds=4)
    assert await keeper.step() == []

    async def is_released() -> bool:
        return await keeper.step() == ["msg_1_inactive"]

    await eventually_async(is_released)


async def test_a_pod_without_the_lease_releases_nothing_and_what_has_no_webhook_any_more_is_dropped(
    client: RedisClient,
) -> None:
    zombie = Keeper(client, "two")
    await ended(client, "msg_1")
    await ended(client, "msg_2", hook="gone")
    assert await zombie.step() == []
    assert await Keeper(client).step() == ["msg_1_inactive"]
    assert await is_empty(client)


async def own_ends(client: RedisClient, ident: str, *, left: bool) -> None:
    """End an answer of a user, who may have a webhook."""
    entry = json.dumps({"at": "2026-01-02T00:00:00.000Z", "body": json.dumps({"data": {"run": ident}})})
    held = Held(ANN, [(USERS, 0, entry)]) if left else None
    await client.call(*notify_command(client, Notice(ident, "c", [], (ANN, entry), held)))


async def own_queue(client: RedisClient) -> list[str]:
    await Keeper(client).step()
    return [each.id for each in (await WebhookQueue(client, USERS, "one").look()).first]


async def test_the_webhook_of_a_user_has_each_end_or_only_those_that_the_user_has_left(client: RedisClient) -> None:
    store = RedisUserWebhooks(client)
    each = UserWebhook("https://ann.example/", "whsec_x", "")
    await own_ends(client, "msg_1", left=True)
    assert await own_queue(client) == []
    await store.put(ANN, each)
    await own_ends(client, "msg_2", left=True)
    assert await own_queue(client) == ["msg_2"]
    await store.put(ANN, replace(each, inactive_after_seconds=1))
    await own_ends(client, "msg_3", left=False)
    assert await own_queue(client) == ["msg_2"]
    await note_seen(client, [(ANN, LATE_MS + 500)], keep_ms=60_000)
    await own_ends(client, "msg_4", left=True)
    assert await own_queue(client) == ["msg_2", "msg_4_inactive"]
    await own_ends(client, "msg_5", left=True)
    await note_seen(client, [(ANN, 0)], keep_ms=60_000)
    await store.put(ANN, each)
    await own_ends(client, "msg_6", left=True)
    assert await own_queue(client) == ["msg_2", "msg_4_inactive", "msg_6"]
    await store.put(ANN, replace(each, inactive_after_seconds=1))
    await store.delete(ANN)
    await store.put(ANN, each)
    await own_ends(client, "msg_7", left=True)
    assert (await own_queue(client))[-1] == "msg_7"
    assert await is_empty(client)


async def test_what_is_held_of_a_user_is_bounded(client: RedisClient) -> None:
    await ended(client, *(f"msg_{number}" for number in range(MAX_HELD_OF_USER + 5)))
    await ended(client, "msg_b", owner=BOB)
    assert len(await Keeper(client).step()) == MAX_HELD_OF_USER + 1
    assert await is_empty(client)


async def test_all_users_with_open_requests_are_noted_beside_the_latest_others(
    client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "MOST", 2)
    users = presence.UserPresence(client, fixed(CONFIG), clock=time.monotonic)
    gone, here = ("ann", "bob", "cid"), ("dan", "eve", "fay", "gus")
    async with users.watching():
        for name in gone:
            users.enter("shop", name)
            users.leave("shop", name)
        for name in here:
            users.enter("shop", name)
    keys = [seen_key(client, owner_of("shop", name)) for name in (*gone, *here)]
    assert [await client.call("EXISTS", key) for key in keys] == [0, 1, 1, 1, 1, 1, 1]
