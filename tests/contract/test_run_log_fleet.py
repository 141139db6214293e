"""Two pods on one Redis: an answer that one of them writes is everybody's."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from uuid_utils import uuid7

from chatfleet_api.chat.chat import Chat, NewMessage
from chatfleet_api.chat.events import Complete, Event, Failed
from chatfleet_api.errors import ChatError, Code
from chatfleet_api.providers.port import Piece
from chatfleet_api.runs.pool import Limits, RunPool
from chatfleet_api.runs.redis import open_run_log
from chatfleet_api.sessions.redis import RedisSessionStore
from chatfleet_api.storage import open_storage
from support.runs_scripts import STOP, TENANT, OneModel, Script, collect, text
from support.runs_topologies import TOPOLOGIES, Topologies


class Pods(NamedTuple):
    first: Chat
    second: Chat


STEPS: list[list[Piece] | float] = [text("word "), 0.02]
SLOW = Script(*STEPS * 20, [STOP])


async def open_pod(stack: AsyncExitStack, url: str) -> Chat:
    storage = await stack.enter_async_context(open_storage(url, "tests", "chat"))
    log = await stack.enter_async_context(open_run_log(storage, ttl_seconds=60, run_seconds=60))
    return Chat(
        catalogue=lambda: OneModel(SLOW),
        pool=RunPool(log, Limits(capacity=10, run_seconds=60)),
        log=log,
        sessions=RedisSessionStore(storage, ttl_seconds=60),
        clock=time.monotonic,
        now=lambda: datetime.now(UTC),
        new_id=lambda: str(uuid7()),
    )


@pytest.fixture(params=TOPOLOGIES)
async def pods(request: pytest.FixtureRequest, topologies: Topologies) -> AsyncIterator[Pods]:
    async with AsyncExitStack() as stack:
        url = topologies(request.param)
        yield Pods(await open_pod(stack, url), await open_pod(stack, url))


async def read(pod: Chat, run: str) -> list[tuple[int, Event]]:
    return await collect(pod.pool.read(TENANT, run))


async def test_an_answer_is_read_on_any_pod_while_it_is_written_and_afterwards(pods: Pods) -> None:
    conversation = (await pods.first.create(TENANT)).id
    run = await pods.first.send(TENANT, conversation, NewMessage("hi"))
    here, there = await asyncio.gather(read(pods.first, run.id), read(pods.second, run.id))
    assert here == there
    assert [seq for seq, _ in there] == list(range(1, 23))
    assert isinstance(there[-1][1], Complete)
    assert await read(pods.second, run.id) == there
    assert await read(pods.first, run.id) == there
    assert (await pods.second.sessions.messages(TENANT, conversation))[-1].content == "word " * 20


async def test_a_conversation_that_another_pod_answers_is_busy(pods: Pods) -> None:
    conversation = (await pods.first.create(TENANT)).id
    run = await pods.first.send(TENANT, conversation, NewMessage("one"))
    with pytest.raises(ChatError) as caught:
        await pods.second.send(TENANT, conversation, NewMessage("two"))
    assert caught.value.code is Code.CONVERSATION_BUSY
    await read(pods.first, run.id)
    await read(pods.second, (await pods.second.send(TENANT, conversation, NewMessage("two"))).id)
    messages = await pods.first.sessions.messages(TENANT, conversation)
    assert [message.status for message in messages] == ["complete"] * 4


async def test_of_messages_to_two_pods_at_once_one_is_answered(pods: Pods) -> None:
    conversation = (await pods.first.create(TENANT)).id
    results = await asyncio.gather(
        *(pod.send(TENANT, conversation, NewMessage("hi")) for pod in pods * 3), return_exceptions=True
    )
    refusals = [result.code for result in results if isinstance(result, ChatError)]
    assert len(refusals) == 5
    assert set(refusals) <= {Code.CONVERSATION_BUSY, Code.CONVERSATION_CHANGED}


async def test_readers_of_a_pod_that_ends_are_told_and_what_had_come_is_kept(pods: Pods) -> None:
    conversation = (await pods.first.create(TENANT)).id
    run = await pods.first.send(TENANT, conversation, NewMessage("hi"))
    reader = asyncio.create_task(read(pods.second, run.id))
    await asyncio.sleep(0.1)
    assert await pods.first.pool.drain(0) == 1
    ending = (await reader)[-1][1]
    assert isinstance(ending, Failed)
    assert (ending.code, ending.partial_saved) == (Code.INTERRUPTED, True)
    kept = (await pods.second.sessions.messages(TENANT, conversation))[-1]
    assert kept.status == "interrupted"
    assert kept.content.startswith("word ")
