"""Runs that belong to no conversation."""

import pytest
from msgspec.structs import replace

from chatfleet_api.domain.cache_use import DECIDED_SECONDS, CacheUse, using
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Complete
from chatfleet_api.domain.request import ChatRequest, Message
from harness.pods.runs import (
    CALLER,
    STOP,
    TENANT,
    FakeProvider,
    collect,
    loop_clock,
    make_chat,
    make_pool,
    memory_log,
    text,
)

pytestmark = pytest.mark.looptime

REQUEST = ChatRequest("m", (Message("user", "hi"),))


async def test_a_question_without_a_conversation_is_answered_and_stored_nowhere() -> None:
    chat = make_chat(FakeProvider([*text("hello"), STOP]))
    run = await chat.completions.start(CALLER, REQUEST)
    assert isinstance((await collect(run.read()))[-1][1], Complete)
    assert (await chat.sessions.list(TENANT)).items == ()


async def test_a_pod_without_a_free_slot_starts_no_run() -> None:
    log = memory_log()
    chat = make_chat(FakeProvider(100), log=log, pool=make_pool(log, capacity=1))
    await chat.completions.start(CALLER, REQUEST)
    with pytest.raises(ChatError) as caught:
        await chat.completions.start(CALLER, REQUEST)
    assert caught.value.code is Code.AT_CAPACITY


async def test_what_can_be_asked_for_by_its_id_is_kept() -> None:
    log = memory_log()
    chat = make_chat(FakeProvider([*text("hello"), STOP]), log=log)
    run = await chat.completions.start(CALLER, REQUEST, retrievable=True)
    await collect(run.read())
    assert isinstance((await collect(chat.pool.read(TENANT, run.id)))[-1][1], Complete)


async def test_a_run_that_is_kept_nowhere_has_no_second_reader_while_it_goes_on() -> None:
    chat = make_chat(FakeProvider(text("secret"), 100))
    run = await chat.completions.start(CALLER, REQUEST)
    await anext(run.read())
    assert chat.pool.find(TENANT, run.id) is None
    assert not await chat.pool.cancel(TENANT, run.id)
    with pytest.raises(ChatError) as caught:
        await collect(chat.pool.read(TENANT, run.id))
    assert caught.value.code is Code.NOT_FOUND


@pytest.mark.parametrize(
    ("temperature", "writes", "seconds"), [(None, True, 0.0), (0.0, False, 0.0), (0.0, True, DECIDED_SECONDS)]
)
async def test_only_for_a_request_that_can_be_cached_is_the_cache_waited_for(
    temperature: float | None, seconds: float, *, writes: bool
) -> None:
    use = CacheUse(TENANT, reads=writes, writes=writes)
    with using(use):
        await make_chat(FakeProvider(100)).completions.start(CALLER, replace(REQUEST, temperature=temperature))
        begun = loop_clock()
        await use.decided()
    assert loop_clock() - begun == pytest.approx(seconds)
