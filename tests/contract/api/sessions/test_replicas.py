"""`redis.waitReplicas`: what was acknowledged survives the failover to a replica that lags."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from uuid_utils import uuid7

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.live import Live
from chatfleet_api.redis.client import RedisClient, open_redis
from chatfleet_api.redis.connect import WAITS
from chatfleet_api.sessions.redis import RedisSessionStore
from chatfleet_api.sessions.store import Append, Conversation, StoredMessage
from harness.clients.reader import begin
from harness.faults.proxy import proxied
from harness.pods.api_process import api_process, fetch, scripted
from harness.pods.fleet_pod import reached
from harness.pods.live import fixed
from harness.pods.runs import conversations
from harness.redis.server import await_replica, redis_server
from harness.redis.topologies import clustered, watched

TENANT = "default"
NOW = "2026-11-21T09:00:00.000Z"


@contextmanager
def replicated(folder: Path, *lines: str) -> Iterator[tuple[str, str]]:
    """Run a primary and a replica of it; yields their URLs."""
    with ExitStack() as stack:
        urls = []
        for name in ("primary", "replica"):
            (folder / name).mkdir()
            urls.append(stack.enter_context(redis_server(folder / name, *lines)))
        yield urls[0], urls[1]


def follow(replica: str, primary: str) -> None:
    """Make a server a replica of another, and wait until it is in step."""
    parts = urlsplit(primary)
    with redis.Redis.from_url(replica) as client:
        client.replicaof(parts.hostname, parts.port)
    in_step(primary)


def in_step(primary: str) -> None:
    with redis.Redis.from_url(primary) as client:
        await_replica(client)


def process_of(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        return int(client.info("server")["process_id"])


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop a process in its tracks for the length of the block."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def store(url: str, replicas: Live[int]) -> AsyncIterator[tuple[RedisSessionStore, RedisClient, str]]:
    """Yield a store that wants so many replicas, and a new conversation in it."""
    async with AsyncExitStack() as stack:
        redis_client = await stack.enter_async_context(open_redis(url, "tests", "chat"))
        async with asyncio.timeout(10):
            while not await reached(redis_client):
                pass
        sessions, conversation = RedisSessionStore(redis_client, conversations(), replicas), str(uuid7())
        await sessions.create(TENANT, Conversation(conversation, None, None, {}, NOW, NOW))
        yield sessions, redis_client, conversation


async def say(sessions: RedisSessionStore, conversation: str, text: str, id_: str | None = None) -> None:
    message = StoredMessage(id_ or str(uuid7()), "user", text, NOW)
    await sessions.append(TENANT, conversation, Append((message,), now=NOW, expected_version=None))


@contextmanager
def _single(folder: Path) -> Iterator[tuple[str, int]]:
    with replicated(folder) as (primary, replica):
        follow(replica, primary)
        yield primary, process_of(replica)


@contextmanager
def _sentinel(folder: Path) -> Iterator[tuple[str, int]]:
    with replicated(folder) as (primary, replica), watched(folder, primary) as url:
        follow(replica, primary)
        yield url, process_of(replica)


@contextmanager
def _cluster(folder: Path) -> Iterator[tuple[str, int]]:
    with clustered(folder) as url, ExitStack() as stack:
        (folder / "replica").mkdir()
        replica = stack.enter_context(clustered(folder / "replica", of=url))
        yield url, process_of(replica.replace("redis+cluster", "redis"))


@pytest.fixture(params=[_single, _sentinel, _cluster], ids=["single", "sentinel", "cluster"])
def primary_and_replica(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    """The URL of a Redis with one replica, and the replica's process."""
    with request.param(tmp_path) as pair:
        yield pair


async def test_a_message_is_refused_while_too_few_replicas_have_it(primary_and_replica: tuple[str, int]) -> None:
    url, replica = primary_and_replica
    wanted = 1
    async with store(url, Live(lambda: wanted)) as (sessions, _, conversation):
        await say(sessions, conversation, "in step")
        again = str(uuid7())
        with stopped(replica):
            for _ in range(2):  # also when it is there already, stored and not replicated
                with pytest.raises(ChatError) as caught:
                    await say(sessions, conversation, "lagging", again)
                assert caught.value.code is Code.STORAGE_UNAVAILABLE
                assert caught.value.retry_after
            wanted = 0
            await say(sessions, conversation, "nobody waits")
            wanted = 1
        await say(sessions, conversation, "lagging", again)
        kept = await sessions.messages(TENANT, conversation)
        assert [message.content for message in kept] == ["in step", "lagging", "nobody waits"]


async def test_a_replica_that_hangs_holds_up_nothing_else(primary_and_replica: tuple[str, int]) -> None:
    url, replica = primary_and_replica
    async with store(url, fixed(1)) as (sessions, redis_client, conversation):
        with stopped(replica):
            waiting = [asyncio.create_task(say(sessions, conversation, "lagging")) for _ in range(3 * WAITS)]
            await asyncio.sleep(0.1)  # all calls wait for the replica by then
            await redis_client.call("PING")
            assert not any(task.done() for task in waiting)
            ends = await asyncio.gather(*waiting, return_exceptions=True)
            assert all(isinstance(end, ChatError) for end in ends)


@pytest.mark.parametrize(("replicas", "lost"), [(1, 0), (0, 3)], ids=["on", "off: the control"])
async def test_what_was_acknowledged_survives_the_promotion_of_a_replica_that_lagged(
    tmp_path: Path, replicas: int, lost: int
) -> None:
    acknowledged = []
    with replicated(tmp_path) as (primary, replica):
        async with proxied(primary) as between:
            await asyncio.to_thread(follow, replica, between.redis_url)
            async with store(primary, fixed(replicas)) as (sessions, _, conversation):
                for number in range(6):
                    if number == 3:
                        await asyncio.to_thread(in_step, primary)
                        await between.hang()  # the replica hears nothing any more
                    try:
                        await say(sessions, conversation, str(number))
                    except ChatError:
                        continue
                    acknowledged.append(str(number))
            os.kill(process_of(primary), signal.SIGKILL)
            with redis.Redis.from_url(replica) as client:
                client.replicaof("NO", "ONE")
            async with store(replica, fixed(0)) as (promoted, _, _):
                kept = [message.content for message in await promoted.messages(TENANT, conversation)]
    assert len(set(acknowledged) - set(kept)) == lost, (acknowledged, kept)


def test_a_request_is_answered_503_and_tells_when_to_come_back(tmp_path: Path) -> None:
    """Over HTTP, with the field in the runtime configuration; with it off, 200."""
    with replicated(tmp_path) as (primary, replica):
        follow(replica, primary)
        (tmp_path / "redis").write_text(primary)
        answers: dict[int | None, Any] = {}
        for wanted in (1, None):
            shared = {"redis_url_file": str(tmp_path / "redis"), "redis_wait_replicas": wanted}
            with api_process(tmp_path, scripted("echo").model_copy(update=shared)) as pod:
                conversation = begin(pod)
                with stopped(process_of(replica)):
                    answers[wanted] = fetch(f"{pod.url}{conversation}/messages", {"content": "hi", "model": "echo"})
    assert (answers[1].status, answers[1].json["code"]) == (503, "storage_unavailable")
    assert answers[1].headers["Retry-After"]
    assert (answers[None].status, answers[None].json["message"]["content"]) == (200, "hi")
