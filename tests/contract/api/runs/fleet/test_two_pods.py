"""Two pods on one Redis: an answer that one of them writes is everybody's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from typing import NamedTuple

import pytest
from uuid_utils import uuid7

from chatfleet_api.chat.sending import NewMessage
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Complete, Event, Failed, Token
from chatfleet_api.pod.lifecycle import drain_runs
from chatfleet_api.providers.provider import StreamItem
from harness.pods.fleet_pod import FleetPod, acquainted, open_pod
from harness.pods.runs import CALLER, STOP, TENANT, Chat, FakeProvider, collect, text
from harness.polling import eventually_async
from harness.redis.topologies import RESTRICTED, TOPOLOGIES, Topologies


class Pods(NamedTuple):
    first: Chat
    second: Chat
    members: list[FleetPod]
    """The same, as members of their fleet."""
    goes_on: asyncio.Event
    """Until it is set, no answer ends."""


STEPS: list[list[StreamItem] | float] = [text("word "), 0.02]


@pytest.fixture(params=[*TOPOLOGIES, *RESTRICTED])
async def pods(request: pytest.FixtureRequest, topologies: Topologies) -> AsyncIterator[Pods]:
    async with AsyncExitStack() as stack:
        url, name = topologies(request.param), str(uuid7())  # a fleet that has no runs of other tests to take over
        provider = FakeProvider(*STEPS * 10, goes_on := asyncio.Event(), *STEPS * 10, [STOP])
        first, second = members = [await open_pod(stack, url, provider, fleet=name) for _ in range(2)]
        yield Pods(first.chat, second.chat, members, goes_on)


async def read(pod: Chat, run: str) -> list[tuple[int, Event]]:
    return await collect(pod.pool.read(TENANT, run))


async def test_an_answer_is_read_on_any_pod_while_it_is_written_and_afterwards(pods: Pods) -> None:
    conversation = (await pods.first.conversations.create(CALLER)).id
    run = await pods.first.conversations.send(CALLER, conversation, NewMessage("hi"))
    reading = [asyncio.create_task(read(pod, run.id)) for pod in (pods.first, pods.second)]
    async with aclosing(pods.second.pool.read(TENANT, run.id)) as batches:
        assert (await anext(aiter(batches))).events  # while it is written
    pods.goes_on.set()
    here, there = await asyncio.gather(*reading)
    assert here == there
    assert [seq for seq, _ in there] == list(range(1, 23))
    assert isinstance(there[-1][1], Complete)
    assert await read(pods.second, run.id) == there
    assert await read(pods.first, run.id) == there
    assert (await pods.second.sessions.messages(TENANT, conversation))[-1].content == "word " * 20


async def test_a_conversation_that_another_pod_answers_is_busy(pods: Pods) -> None:
    conversation = (await pods.first.conversations.create(CALLER)).id
    run = await pods.first.conversations.send(CALLER, conversation, NewMessage("one"))
    with pytest.raises(ChatError) as caught:
        await pods.second.conversations.send(CALLER, conversation, NewMessage("two"))
    assert caught.value.code is Code.CONVERSATION_BUSY
    pods.goes_on.set()
    await read(pods.first, run.id)
    await read(pods.second, (await pods.second.conversations.send(CALLER, conversation, NewMessage("two"))).id)
    messages = await pods.first.sessions.messages(TENANT, conversation)
    assert [message.status for message in messages] == ["complete"] * 4


async def test_of_messages_to_two_pods_at_once_one_is_answered(pods: Pods) -> None:
    conversation = (await pods.first.conversations.create(CALLER)).id
    results = await asyncio.gather(
        *(pod.conversations.send(CALLER, conversation, NewMessage("hi")) for pod in (pods.first, pods.second) * 3),
        return_exceptions=True,
    )
    refusals = [result.code for result in results if isinstance(result, ChatError)]
    assert len(refusals) == 5
    assert set(refusals) <= {Code.CONVERSATION_BUSY, Code.CONVERSATION_CHANGED}


async def test_readers_of_a_pod_that_ends_are_told_and_what_had_come_is_kept(pods: Pods) -> None:
    first, second = pods.members
    await acquainted(first, second)
    second.chat.pool.admission.begin_draining()  # it ends, too, so that nobody takes the answer over
    await eventually_async(lambda: not first.fleet.has_successors())
    conversation = (await pods.first.conversations.create(CALLER)).id
    run = await pods.first.conversations.send(CALLER, conversation, NewMessage("hi"))
    reader = asyncio.create_task(read(pods.second, run.id))
    async with aclosing(pods.first.pool.read(TENANT, run.id)) as batches:
        async for batch in batches:
            if isinstance(batch.events[-1], Token):
                break
    assert await drain_runs(pods.first.pool, 0) == 1
    ending = (await reader)[-1][1]
    assert isinstance(ending, Failed)
    assert (ending.code, ending.partial_saved) == (Code.INTERRUPTED, True)
    kept = (await pods.second.sessions.messages(TENANT, conversation))[-1]
    assert kept.status == "interrupted"
    assert kept.content.startswith("word ")
