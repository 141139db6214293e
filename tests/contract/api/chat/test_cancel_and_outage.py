"""An outage of Redis takes no run from any pod, and each pod cancels the runs of all, of dead ones too."""

import asyncio
from time import monotonic

import pytest

from chatfleet_api.domain.errors import Code
from chatfleet_api.domain.events import Complete, Failed
from chatfleet_api.providers.provider import StreamItem
from harness.pods.runs import CALLER, STOP, TENANT, FakeProvider, text
from harness.pods.takeovers import REST, Fleet, ask, follow, read, words
from harness.polling import eventually_async

pytestmark = pytest.mark.lasts(50)

WORDS: list[list[StreamItem] | float] = [text("word "), 0.1] * 50


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
