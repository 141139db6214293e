"""A pod may die: its runs are taken over by exactly one other, which goes on where the model can."""

from time import monotonic

import pytest

from chatfleet_api.chat.sending import NewMessage
from chatfleet_api.chat.takeover import MAX_TAKEOVERS, resumption
from chatfleet_api.domain.errors import Code
from chatfleet_api.domain.events import Complete, Failed, Start, Usage
from chatfleet_api.domain.request import Affinity, ChatRequest, Message
from harness.pods.runs import CALLER, STOP, TENANT, FakeProvider
from harness.pods.takeovers import HALF, REST, Fleet, ask, follow, gapless, read, words

pytestmark = pytest.mark.lasts(50)

RUN_TAKEOVER_DURATION_SECONDS = 3.0


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


def test_a_run_that_outlived_too_many_pods_is_not_asked_again() -> None:
    """It may be what kills them."""
    asked = ChatRequest("m", ())
    assert resumption((), asked, "none", epoch=MAX_TAKEOVERS) == asked
    assert resumption((), asked, "none", epoch=MAX_TAKEOVERS + 1) is None
