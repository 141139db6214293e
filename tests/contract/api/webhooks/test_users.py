"""The webhooks of users: signed by their own secrets, to public addresses alone, and none waits for another's."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import pytest
import redis
from standardwebhooks import Webhook
from uuid_utils import uuid7

from chatfleet_api.http.egress.dialer import Dialer
from chatfleet_api.http.egress.policy import Source
from chatfleet_api.http.pool import ConnectionPool
from chatfleet_api.pod.configuration import local
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.redis.client import RedisClient, open_redis
from chatfleet_api.redis.lease import Lease
from chatfleet_api.webhooks.delivery import Tools
from chatfleet_api.webhooks.event import Notice
from chatfleet_api.webhooks.queue import notify_command, sender_key
from chatfleet_api.webhooks.sender import Sender
from chatfleet_api.webhooks.user_webhook import UserWebhook
from chatfleet_api.webhooks.users import RedisUserWebhooks
from chatfleet_contract.runtime import RuntimeConfig, RuntimeKeys
from harness.net import LOOPBACK
from harness.pods.api_process import api_process, fetch, scripted
from harness.pods.live import fixed
from harness.polling import eventually
from harness.receiver import Receiver, receiving

NAMES: Final = {"good.example": "93.184.216.34", "private.example": "10.0.0.1", "metadata.example": "169.254.169.254"}
SECRETS: Final = {name: f"whsec_{letter * 43}=" for name, letter in (("ann", "A"), ("bob", "B"))}
QUEUE: Final = "chatfleet:{shop/support}:webhook:@users:queue"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def enabled(config: RuntimeConfig) -> RuntimeConfig:
    conversations = config.conversations.model_copy(update={"user_webhooks": True})
    return config.model_copy(update={"conversations": conversations})


@asynccontextmanager
async def sending(client: RedisClient, port: int) -> AsyncIterator[None]:
    """Send as a pod does; names resolve as `NAMES` has them, and connections to public addresses go to `port`."""

    async def resolve(host: str, number: int) -> list[tuple[Any, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (NAMES[host], number))]

    async def connect(_addresses: list[tuple[Any, ...]]) -> socket.socket:
        made = socket.socket()
        made.setblocking(False)  # noqa: FBT003  # its only parameter
        await asyncio.get_running_loop().sock_connect(made, (LOOPBACK, port))
        return made

    tools = Tools(
        pool=ConnectionPool(),
        user_pool=ConnectionPool(),
        user_dialer=lambda egress: Dialer(egress, Source.ELSEWHERE, resolve=resolve, connect=connect),
        lease=Lease(client, sender_key(client), str(uuid7()), clock=time.monotonic),
        meter=Meter("tests"),
        clock=time.monotonic,
        now=lambda: datetime.now(UTC),
        uniform=lambda low, _: low / 10,
        changed=asyncio.Event(),
    )
    task = asyncio.create_task(Sender(client, fixed(enabled(local())), tools).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[RedisClient]:
    async with open_redis(redis_url, "shop", "support") as made:
        yield made


async def given(client: RedisClient, user: str, host: str, *ids: str) -> None:
    """Give a user a webhook, and queue events."""
    await RedisUserWebhooks(client).put(f"shop/{user}", UserWebhook(f"http://{host}/{user}", SECRETS[user], ""))
    for ident in ids:
        body = json.dumps({"type": "stream_complete", "data": {"tenant": "shop", "n": ident}})
        event = json.dumps({"at": datetime.now(UTC).isoformat(), "body": body})
        await client.call(*notify_command(client, Notice(ident, "c", [], (f"shop/{user}", event))))


async def until(done: Any) -> None:  # noqa: ANN401  # a statement
    await asyncio.to_thread(eventually, done)


def verified(receiver: Receiver) -> list[tuple[str, str]]:
    """Return the user and the id of each event that was accepted, in order; each was signed by its user's secret."""
    found = []
    for got in receiver.accepted:
        user = got.path.removeprefix("/")
        Webhook(SECRETS[user]).verify(got.body, dict(got.headers))
        found.append((user, got.id))
    return found


async def test_each_user_gets_its_events_in_order_and_one_that_fails_delays_no_other(
    client: RedisClient, receiver: Receiver
) -> None:
    failing: dict[str, int] = {"msg_1": HTTPStatus.INTERNAL_SERVER_ERROR, "msg_2": HTTPStatus.FOUND}
    broken = dict(failing)
    receiver.answer = lambda ident, _: broken.get(ident, HTTPStatus.NO_CONTENT)
    await given(client, "ann", "good.example", "msg_1", "msg_2", "msg_3")
    await given(client, "bob", "good.example", "msg_4", "msg_5")
    async with sending(client, receiver.port):
        await until(lambda: len(receiver.accepted) == 2)
        assert verified(receiver) == [("bob", "msg_4"), ("bob", "msg_5")]
        del broken["msg_1"]
        await until(lambda: len(receiver.accepted) == 3)
        broken.clear()
        await until(lambda: len(receiver.accepted) == 5)
    assert verified(receiver)[2:] == [("ann", "msg_1"), ("ann", "msg_2"), ("ann", "msg_3")]


@pytest.mark.parametrize("host", ["private.example", "metadata.example", LOOPBACK])
async def test_no_request_leaves_for_an_address_that_is_not_public(
    client: RedisClient, receiver: Receiver, host: str, redis_url: str
) -> None:
    await given(client, "ann", host, "msg_1")
    await given(client, "bob", "good.example", "msg_2")
    async with sending(client, receiver.port):
        await until(lambda: verified(receiver) == [("bob", "msg_2")])
        await RedisUserWebhooks(client).delete("shop/ann")
        with redis.Redis.from_url(redis_url) as server:
            await until(lambda: server.zcard(QUEUE) == 0)
    assert len(receiver.got) == 1


@pytest.mark.feature(47)
def test_the_end_of_an_answer_is_queued_for_its_user(tmp_path: Path, redis_url: str) -> None:
    (tmp_path / "redis").write_text(redis_url)
    (tmp_path / "keys").mkdir()
    key = "sk-ann-0123456789abcdef0123456789abcdef"
    (tmp_path / "keys" / "web").write_text(json.dumps({"key": key, "user": "ann"}))
    config = enabled(scripted("echo"))
    keys = (RuntimeKeys(tenant="shop", folder=str(tmp_path / "keys")),)
    access = config.access.model_copy(update={"anonymous": False, "api_keys": keys})
    config = config.model_copy(update={"access": access, "redis_url_file": str(tmp_path / "redis")})
    as_ann: Mapping[str, str] = {"authorization": f"Bearer {key}"}
    with api_process(tmp_path, config) as pod, redis.Redis.from_url(redis_url) as server:

        def answer() -> str:
            path = f"{pod.url}/api/v1/conversations"
            path = f"{path}/{fetch(path, {}, **as_ann).json['id']}/messages"
            fetch(path, {"content": "secret words", "model": "echo"}, **as_ann)
            return f"msg_{fetch(path, **as_ann).json['messages'][-1]['run']}"

        answer()
        assert server.zcard(QUEUE) == 0
        webhook = UserWebhook("https://ann.invalid/hook", SECRETS["ann"], "")
        server.hset("chatfleet:{shop/support}:webhook-users", "shop/ann", json.dumps(webhook_fields(webhook)))
        queued = answer()
        assert server.zrange(QUEUE, 0, -1) == [f"shop/ann {queued}".encode()]
        event = server.hget(QUEUE.removesuffix("queue") + "events", queued)
        assert b"stream_complete" in event
        assert b"secret words" not in event
        failed = 'outcome="failed",webhook="@users"'
        eventually(lambda: failed in pod.health("/metrics").body.decode())
        assert not pod.health("/health").json.get("webhookErrors")
        server.hdel("chatfleet:{shop/support}:webhook-users", "shop/ann")
        eventually(lambda: server.zcard(QUEUE) == 0)


def webhook_fields(webhook: UserWebhook) -> dict[str, str]:
    return {"url": webhook.url, "secret": webhook.secret, "created_at": webhook.created_at}
