"""A pod may die: its runs are taken over by exactly one other, and what it does afterwards changes nothing."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from random import random
from time import monotonic
from typing import Protocol

import pytest
from uuid_utils import uuid7

from chatfleet_api.chat.attachments import Attachment
from chatfleet_api.chat.items import NewItem
from chatfleet_api.chat.responses import NewResponse, ResponseKey
from chatfleet_api.chat.sending import NewMessage
from chatfleet_api.chat.takeover import MAX_TAKEOVERS, resumption
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Agent, Complete, Event, Failed, Start, Token, Usage
from chatfleet_api.domain.request import Affinity, ChatRequest, ImagePart, ImageURL, Message, Routing
from chatfleet_api.providers.provider import StreamItem
from chatfleet_api.redis.client import open_redis
from chatfleet_api.runs.fence import Fence
from chatfleet_api.runs.fleet.interface import Claim, Orphan, RunRecord
from chatfleet_api.runs.fleet.redis import RedisFleet
from chatfleet_api.runs.opening import open_run_log
from chatfleet_api.runs.tail import Batch
from chatfleet_contract.spec.provider_types import Continuation
from harness.pods.fleet_pod import FleetPod, Following, acquainted, open_pod
from harness.pods.runs import (
    CALLER,
    STOP,
    TENANT,
    FakeProvider,
    OneModel,
    collect,
    conversations,
    numbered,
    streaming,
    text,
)
from harness.polling import eventually_async
from harness.redis.topologies import RESTRICTED, TOPOLOGIES, Topologies

RUN_TAKEOVER_DURATION_SECONDS = 3.0
MINE: list[list[StreamItem] | float] = [text("mine "), 0.2] * 60
WORDS: list[list[StreamItem] | float] = [text("word "), 0.1] * 50
QUICK: list[list[StreamItem] | float] = [text("x"), 0.003] * 300
HALF = FakeProvider(text("one "), text("two "), 60)
REST = FakeProvider(text("three "), text("four"), [STOP])


class Fleet(Protocol):
    def __call__(self, *scripts: FakeProvider, continuation: Continuation = "none") -> Awaitable[list[FleetPod]]: ...


@pytest.fixture(params=[*TOPOLOGIES, *RESTRICTED])
async def fleet(request: pytest.FixtureRequest, topologies: Topologies) -> AsyncIterator[Fleet]:
    """Open a pod for each script, in a fleet of their own."""
    url, name = topologies(request.param), str(uuid7())
    async with AsyncExitStack() as stack:

        async def open_pods(*scripts: FakeProvider, continuation: Continuation = "none") -> list[FleetPod]:
            pods = [await open_pod(stack, url, script, continuation, fleet=name) for script in scripts]
            await acquainted(*pods)
            return pods

        yield open_pods


async def read(pod: FleetPod, run: str, after: int = 0) -> list[tuple[int, Event]]:
    async with asyncio.timeout(20):
        return await collect(pod.chat.pool.read(TENANT, run, after))


def follow(pod: FleetPod, run: str, after: int = 0) -> Following:
    return Following(pod.chat.pool.read(TENANT, run, after))


async def ask(pod: FleetPod, said: str = "hi") -> tuple[str, str]:
    """Return a new conversation and the run that answers in it."""
    conversation = (await pod.chat.conversations.create(CALLER)).id
    return conversation, (await pod.chat.conversations.send(CALLER, conversation, NewMessage(said))).id


def words(events: list[tuple[int, Event]]) -> str:
    return "".join(event.text for _, event in events if isinstance(event, Token))


def gapless(events: list[tuple[int, Event]]) -> bool:
    return [seq for seq, _ in events] == list(range(1, len(events) + 1))


async def test_a_run_of_which_nothing_was_seen_is_asked_again_by_one_other_pod(fleet: Fleet) -> None:
    silent, scripts = FakeProvider(60), [FakeProvider(*REST.steps) for _ in range(2)]
    first, second, third = await fleet(silent, *scripts)
    conversation, run = await ask(first)
    reader = follow(third, run)
    await reader.seen(1)
    first.redis.whole, cut = False, monotonic()
    events = await reader.whole()
    assert monotonic() - cut < RUN_TAKEOVER_DURATION_SECONDS
    assert gapless(events)
    assert words(events) == "three four"
    assert isinstance(events[0][1], Start)
    assert isinstance(events[-1][1], Complete)
    assert sum(len(script.asked) for script in scripts) == 1
    assert await read(second, run) == events
    kept = (await third.chat.sessions.messages(TENANT, conversation))[-1]
    assert (kept.content, kept.status, kept.run) == ("three four", "complete", run)


async def test_the_heir_asks_with_what_is_attached_to_the_message(fleet: Fleet) -> None:
    silent, heir = FakeProvider(60), FakeProvider(*REST.steps)
    first, second = await fleet(silent, heir)
    conversation = (await first.chat.conversations.create(CALLER)).id
    url = f"data:image/gif;base64,{b64encode(b'GIF89a' + bytes(100_000)).decode()}"
    message = NewMessage("hi", attachments=(Attachment("image", url),))
    run = (await first.chat.conversations.send(CALLER, conversation, message)).id
    reader = follow(second, run)
    await reader.seen(1)
    first.redis.whole = False
    await reader.whole()
    assert heir.asked[0].messages == silent.asked[0].messages
    await collect((await second.chat.conversations.send(CALLER, conversation, NewMessage("and?"))).read())
    content = heir.asked[1].messages[0].content
    assert heir.asked[1].messages[0] == silent.asked[0].messages[0]
    assert content
    assert content[1] == ImagePart(ImageURL(url, "auto"))


async def test_an_answer_again_stays_a_branch_when_its_pod_dies(fleet: Fleet) -> None:
    first, second = await fleet(FakeProvider(60), FakeProvider(*REST.steps))
    conversation = (await second.chat.conversations.create(CALLER)).id
    await collect((await second.chat.conversations.send(CALLER, conversation, NewMessage("hi"))).read())
    question, answer = await second.chat.conversations.messages(CALLER, conversation)
    run = (await first.chat.conversations.send(CALLER, conversation, NewMessage("", again=answer.id))).id
    reader = follow(second, run)
    await reader.seen(1)
    await second.chat.conversations.update(CALLER, conversation, lambda each: each, head=answer.id)
    first.redis.whole = False
    assert words(await reader.whole()) == "three four"
    *before, again = await second.chat.conversations.messages(CALLER, conversation)
    assert (before, again.content, again.parent) == ([question, answer], "three four", question.id)
    assert await second.chat.conversations.current(CALLER, conversation) == (question, answer)


async def test_a_run_of_which_something_was_seen_ends_as_interrupted_and_the_part_is_kept(fleet: Fleet) -> None:
    rest = FakeProvider(*REST.steps)
    first, second = await fleet(FakeProvider(*HALF.steps), rest)
    conversation, run = await ask(first)
    reader = follow(second, run)
    await reader.seen(3)
    first.redis.whole, cut = False, monotonic()
    events = await reader.whole()
    assert monotonic() - cut < RUN_TAKEOVER_DURATION_SECONDS
    assert gapless(events)
    assert words(events) == "one two "
    ending = events[-1][1]
    assert isinstance(ending, Failed)
    assert (ending.code, ending.partial_saved) == (Code.INTERRUPTED, True)
    assert rest.asked == []
    kept = (await second.chat.sessions.messages(TENANT, conversation))[-1]
    assert (kept.content, kept.status) == ("one two ", "interrupted")
    assert kept.usage == Usage(input_tokens=1, output_tokens=2, estimated=True)
    await second.chat.conversations.send(CALLER, conversation, NewMessage("and then?"))


async def test_a_run_is_continued_where_the_model_can(fleet: Fleet) -> None:
    rest = FakeProvider(*REST.steps)
    first, second = await fleet(FakeProvider(*HALF.steps), rest, continuation="prefill")
    conversation, run = await ask(first)
    reader = follow(second, run)
    await reader.seen(3)
    first.redis.whole = False
    events = await reader.whole()
    assert gapless(events)
    assert words(events) == "one two three four"
    assert isinstance(events[-1][1], Complete)
    asked = (Message("user", "hi"), Message("assistant", "one two "))
    assert rest.asked == [ChatRequest("m", asked, continues=True, affinity=Affinity(conversation))]
    kept = (await second.chat.sessions.messages(TENANT, conversation))[-1]
    assert (kept.content, kept.status) == ("one two three four", "complete")
    lost = Usage(input_tokens=1, output_tokens=2, estimated=True)  # by the pod that died
    assert kept.usage == STOP.usage + lost


async def test_a_zombie_appends_nothing_and_stops_its_upstream_and_its_readers_follow_the_new_owner(
    fleet: Fleet,
) -> None:
    zombie = FakeProvider(text("one "), 0.5, *MINE, [STOP])
    first, second = await fleet(zombie, FakeProvider(*REST.steps), continuation="prefill")
    conversation, run = await ask(first)
    here = follow(first, run, 2)
    there = follow(second, run)
    await there.seen(2)
    assert zombie.open_streams == 1
    first.redis.whole = False
    events = await there.whole()
    assert words(events) == "one three four"
    first.redis.whole = True
    with pytest.raises(ChatError) as caught:  # it has seen, while Redis was away, what the log never had
        await here.whole()
    assert caught.value.code is Code.INTERRUPTED
    await eventually_async(lambda: zombie.open_streams == 0)
    assert await read(first, run) == events == await read(second, run)
    kept = (await first.chat.sessions.messages(TENANT, conversation))[-1]
    assert (kept.content, kept.status) == ("one three four", "complete")


async def test_a_reader_on_the_zombie_that_saw_nothing_else_goes_on_from_the_log(fleet: Fleet) -> None:
    zombie = FakeProvider(text("one "), 3, *MINE)
    first, second = await fleet(zombie, FakeProvider(*REST.steps), continuation="prefill")
    _, run = await ask(first)
    here = follow(first, run)
    await here.seen(2)
    first.redis.whole = False
    events = await read(second, run)
    first.redis.whole = True
    assert await here.whole() == events
    assert words(events) == "one three four"


async def test_the_final_message_of_a_zombie_is_refused(fleet: Fleet) -> None:
    zombie = FakeProvider(text("one "), 2, [STOP])
    first, second = await fleet(zombie, FakeProvider(*REST.steps))
    conversation, run = await ask(first)
    reader = follow(second, run)
    await reader.seen(2)
    first.redis.whole = False
    await reader.whole()
    await eventually_async(lambda: zombie.open_streams == 0)  # its answer is whole, and waits for Redis
    first.redis.whole = True
    await eventually_async(lambda: first.chat.pool.admission.active == 0)
    kept = (await second.chat.sessions.messages(TENANT, conversation))[-1]
    assert (kept.content, kept.status) == ("one ", "interrupted")


async def test_a_zombie_that_has_nothing_to_write_stops_its_upstream_too(fleet: Fleet) -> None:
    zombie = FakeProvider(text("one "), 60)
    first, second = await fleet(zombie, FakeProvider(*REST.steps), continuation="prefill")
    _, run = await ask(first)
    here = follow(first, run)
    await here.seen(2)
    first.redis.whole = False
    events = await read(second, run)
    assert zombie.open_streams == 1
    first.redis.whole = True
    await eventually_async(lambda: zombie.open_streams == 0)
    assert await here.whole() == events


async def test_an_outage_of_redis_for_all_pods_takes_no_run_from_anybody(fleet: Fleet) -> None:
    script = FakeProvider(*WORDS, [STOP])
    pods = await fleet(script, script)
    _, run = await ask(pods[0])
    reader = follow(pods[0], run)
    await reader.seen(3)
    for pod in pods:
        pod.redis.whole = False
    await asyncio.sleep(2.5)  # longer than a lease
    for pod in reversed(pods):  # who is back first must not think that the others are dead
        pod.redis.whole = True
        await asyncio.sleep(0.6)  # some heartbeats
    events = await reader.whole()
    assert words(events) == "word " * 50
    assert isinstance(events[-1][1], Complete)
    assert await read(pods[1], run) == events


def test_a_run_that_outlived_too_many_pods_is_not_asked_again() -> None:
    """It may be what kills them."""
    asked = ChatRequest("m", ())
    assert resumption((), asked, "none", epoch=MAX_TAKEOVERS) == asked
    assert resumption((), asked, "none", epoch=MAX_TAKEOVERS + 1) is None


async def test_a_run_without_a_conversation_is_taken_over_when_it_can_be_resumed(fleet: Fleet) -> None:
    first, second = await fleet(FakeProvider(60), FakeProvider(*REST.steps))
    request = ChatRequest("m", (Message("user", "hi"),))
    plain = await first.chat.completions.start(CALLER, request)
    run = await first.chat.completions.start(CALLER, request, retrievable=True)
    await first.chat.log.flush(TENANT, run.id)
    first.redis.whole = False
    assert words(await read(second, run.id)) == "three four"
    assert await second.chat.log.state(TENANT, plain.id) == "unknown"


async def test_a_response_whose_pod_dies_is_ended_by_another_one_and_continued(fleet: Fleet) -> None:
    first, second = await fleet(FakeProvider(60), FakeProvider(*REST.steps))
    asked = NewResponse(ChatRequest("m", ()), (NewItem(Message("user", "hi")),), echo="{}")
    run = await first.chat.responses.create(CALLER, asked)
    start = (await anext(run.read())).events[0]
    assert isinstance(start, Start)
    key = ResponseKey(start.conversation or "", run.id)
    first.redis.whole = False
    assert words(await read(second, run.id)) == "three four"
    found = await second.chat.responses.find(CALLER, key)
    assert (found.answer.status, found.answer.content, found.answer.echo) == ("complete", "three four", "{}")
    next_run = await second.chat.responses.create(CALLER, asked._replace(previous=key))
    assert words(await read(second, next_run.id)) == "three four"
    assert len(await second.chat.sessions.messages(TENANT, key.conversation)) == 4


async def test_what_a_reader_sees_is_in_the_log(fleet: Fleet) -> None:
    """Also what it sees last before the pod dies, so that the next owner begins behind it."""
    first, second = await fleet(FakeProvider(*QUICK, [STOP]), FakeProvider([STOP]), continuation="prefill")
    _, run = await ask(first)
    seen: list[tuple[int, Event]] = []

    key = second.redis_client.key(TENANT, "events", run)
    async for batch in first.chat.pool.read(TENANT, run):
        ((newest, _),) = await second.redis_client.call("XREVRANGE", key, "+", "-", "COUNT", 1)
        assert int(newest.partition(b"-")[0]) >= batch.last
        seen.extend(enumerate(batch.events, batch.first))
    assert gapless(seen)


class Recorded:
    """A takeover handler that records its calls."""

    def __init__(self, fence: Fence) -> None:
        self.fence = fence
        self.settlement = None
        self.notice = None
        self.committed = 0
        self.fenced: int | None = None

    def publish_committed(self, seq: int) -> None:
        self.committed = seq

    def fence_off(self, seq: int) -> None:
        self.fenced = seq


async def test_one_pod_wins_a_claim_and_the_log_refuses_the_one_before(
    topologies: Topologies,
) -> None:
    run = str(uuid7())
    record = RunRecord(TENANT, Start(run, "m", 0), ChatRequest("m", ()))
    async with AsyncExitStack() as stack:
        redis_client = await stack.enter_async_context(open_redis(topologies("single"), "tests", str(uuid7())))
        logs = [
            await stack.enter_async_context(open_run_log(redis_client, streaming(), conversations(), clock=monotonic))
            for _ in range(2)
        ]
        dead, successor, late = [
            RedisFleet(redis_client, name, streaming(), clock=monotonic, rand=random) for name in ("a", "b", "c")
        ]
        async with dead.begin(record):
            before, after = Recorded(Fence()), Recorded(Fence(1, 2))
        logs[0].append(TENANT, run, numbered(1, 2), before)
        await logs[0].flush(TENANT, run)
        assert (before.committed, before.fenced) == (2, None)
        orphan = Orphan("a", TENANT, run)
        claim = Claim(record, Fence(1, 2))
        assert await successor.claim([orphan]) == [claim]
        assert await successor.claim([orphan]) == [claim]  # as after a lost reply
        assert await late.claim([orphan]) == [None]
        logs[0].append(TENANT, run, numbered(3, 9), before)
        await logs[0].flush(TENANT, run)
        assert (before.committed, before.fenced) == (2, 2)
        logs[1].append(TENANT, run, Batch(3, (Complete("stop", Usage()),)), after)
        await logs[1].flush(TENANT, run)
        assert [seq for seq, _ in await collect(logs[0].read(TENANT, run))] == [1, 2, 3]
        assert await late.claim([Orphan("b", TENANT, run)]) == [None]  # it has ended


@pytest.mark.timed
@pytest.mark.parametrize("steps", [[60], [text("one "), 60]], ids=["before the first token", "after it"])
async def test_a_run_is_cancelled_from_any_pod_within_half_a_second(fleet: Fleet, steps: list[float]) -> None:
    script = FakeProvider(*steps)
    first, second = await fleet(script, FakeProvider())
    conversation, run = await ask(first)
    reader = follow(second, run)
    await eventually_async(lambda: script.open_streams == 1)
    asked = monotonic()
    assert await second.chat.conversations.cancel(CALLER, conversation) == run
    await eventually_async(lambda: script.open_streams == 0)
    assert monotonic() - asked < 0.5
    ending = (await reader.whole())[-1][1]
    assert isinstance(ending, Failed)
    assert ending.code is Code.CANCELLED
    assert (await second.chat.sessions.messages(TENANT, conversation))[-1].status == "cancelled"
    assert await second.chat.conversations.cancel(CALLER, conversation) is None
    assert await second.chat.pool.cancel(TENANT, run) is False


async def test_a_conversation_that_is_deleted_on_another_pod_stops_its_answer(fleet: Fleet) -> None:
    script = FakeProvider(60)
    first, second = await fleet(script, FakeProvider())
    conversation, _ = await ask(first)
    await eventually_async(lambda: script.open_streams == 1)
    await second.chat.conversations.delete(CALLER, conversation)
    await eventually_async(lambda: script.open_streams == 0)


async def test_a_cancel_outlives_the_pod_that_should_have_heard_it(fleet: Fleet) -> None:
    rest = FakeProvider(*REST.steps)
    first, second = await fleet(FakeProvider(60), rest)
    conversation, run = await ask(first)
    first.redis.whole = False
    assert await second.chat.conversations.cancel(CALLER, conversation) == run
    ending = (await read(second, run))[-1][1]
    assert isinstance(ending, Failed)
    assert ending.code is Code.CANCELLED
    assert rest.asked == []


async def test_a_run_that_has_announced_its_agent_goes_on_with_it(fleet: Fleet) -> None:
    rest = FakeProvider(*REST.steps)
    first, second = await fleet(FakeProvider([Agent("billing", "An invoice.")], 60), rest)
    for pod in (first, second):
        catalogue = pod.chat.catalogue()
        assert isinstance(catalogue, OneModel)
        catalogue.names = ("agent", "agent:billing")
    conversation, run = await ask(first)
    reader = follow(second, run)
    await reader.seen(2)
    first.redis.whole = False
    events = await reader.whole()
    assert gapless(events)
    assert [event for _, event in events if isinstance(event, Agent)] == [Agent("billing", "An invoice.")]
    assert words(events) == "three four"
    (asked,) = rest.asked
    assert (asked.model, asked.routing) == ("agent:billing", Routing(announced=True))
    kept = (await second.chat.sessions.messages(TENANT, conversation))[-1]
    assert (kept.model, kept.status) == ("agent:billing", "complete")
