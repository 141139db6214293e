"""Conversations: what is refused at once, what is stored before anybody is asked, and who answers."""

import asyncio
from typing import get_args

import pytest

from chatfleet_api.chat.new_conversation import NewConversation
from chatfleet_api.chat.replay import Replay
from chatfleet_api.chat.sending import NewMessage
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Complete, Event, Failed, Start, Token
from chatfleet_api.domain.request import Affinity, ChatRequest, Message
from chatfleet_api.runs.run import Run
from chatfleet_api.sessions.store import MAX_QUEUED
from chatfleet_contract.spec import OnBusy
from harness.pods.runs import (
    CALLER,
    STOP,
    TENANT,
    Chat,
    FakeProvider,
    collect,
    make_chat,
    make_pool,
    memory_log,
    memory_sessions,
    text,
)

HELLO = FakeProvider([*text("hello"), STOP])
pytestmark = pytest.mark.looptime


async def ending(run: Run | Replay) -> Event:
    return (await collect(run.read()))[-1][1]


async def refusal(chat: Chat, conversation: str, message: NewMessage) -> ChatError:
    with pytest.raises(ChatError) as caught:
        await chat.conversations.send(CALLER, conversation, message)
    return caught.value


async def test_an_unknown_model_is_refused_before_anything_happens() -> None:
    chat = make_chat(HELLO)
    conversation = await chat.conversations.create(CALLER)
    with pytest.raises(ChatError) as caught:
        await chat.completions.start(CALLER, ChatRequest("other", ()))
    assert (caught.value.code, caught.value.param) == (Code.MODEL_NOT_FOUND, "model")
    assert (await refusal(chat, conversation.id, NewMessage("hi", "other"))).code is Code.MODEL_NOT_FOUND
    assert await chat.sessions.messages(TENANT, conversation.id) == ()


async def test_a_full_pod_stores_nothing() -> None:
    log = memory_log()
    chat = make_chat(FakeProvider(100), log=log, pool=make_pool(log, capacity=1))
    conversation = await chat.conversations.create(CALLER)
    await chat.completions.start(CALLER, ChatRequest("m", ()))
    assert (await refusal(chat, conversation.id, NewMessage("hi"))).code is Code.AT_CAPACITY
    assert await chat.sessions.messages(TENANT, conversation.id) == ()


async def test_an_unknown_conversation_is_refused() -> None:
    error = await refusal(make_chat(HELLO), "00000000-0000-7000-8000-000000000009", NewMessage("hi"))
    assert error.code is Code.CONVERSATION_NOT_FOUND


async def test_question_and_pending_answer_are_stored_before_anybody_is_asked() -> None:
    script = FakeProvider([*text("hello"), STOP])
    chat = make_chat(script)
    conversation = await chat.conversations.create(CALLER)
    run = await chat.conversations.send(CALLER, conversation.id, NewMessage("hi"))
    assert script.asked == []
    said, answer = await chat.sessions.messages(TENANT, conversation.id)
    assert (said.role, said.content, said.status) == ("user", "hi", "complete")
    assert (answer.role, answer.status, answer.run, answer.model) == ("assistant", "pending", run.id, "m")
    assert (await anext(run.read())).events[0] == Start(run.id, "m", 1767225600, conversation.id, answer.id)


async def test_the_answer_knows_what_was_said_before() -> None:
    script = FakeProvider([*text("hello"), STOP])
    chat = make_chat(script)
    conversation = await chat.conversations.create(CALLER)
    for said in ("one", "two"):
        await ending(await chat.conversations.send(CALLER, conversation.id, NewMessage(said, temperature=0.5)))
    assert script.asked[-1] == ChatRequest(
        "m",
        (Message("user", "one"), Message("assistant", "hello"), Message("user", "two")),
        temperature=0.5,
        affinity=Affinity(conversation.id),
    )
    messages = await chat.sessions.messages(TENANT, conversation.id)
    assert [(message.content, message.status) for message in messages] == [
        ("one", "complete"),
        ("hello", "complete"),
        ("two", "complete"),
        ("hello", "complete"),
    ]


async def test_a_conversation_is_busy_while_its_answer_is_written_here() -> None:
    chat = make_chat(FakeProvider(100, [STOP]))
    conversation = await chat.conversations.create(CALLER)
    run = await chat.conversations.send(CALLER, conversation.id, NewMessage("one"))
    error = await refusal(chat, conversation.id, NewMessage("two"))
    assert (error.code, error.retry_after) == (Code.CONVERSATION_BUSY, 1)
    await ending(run)
    assert isinstance(await chat.conversations.send(CALLER, conversation.id, NewMessage("two")), Run)


async def test_a_conversation_is_busy_while_another_pod_writes_and_free_soon_after_that_pod_died() -> None:
    """Both pods share log and store; the first dies without a word, so that its log stays open."""
    log, sessions = memory_log(), memory_sessions()
    first = make_chat(FakeProvider(10_000), log=log, sessions=sessions, pool=make_pool(log, run_seconds=20_000))
    conversation = await first.conversations.create(CALLER)
    lost = await first.conversations.send(CALLER, conversation.id, NewMessage("one"))
    assert isinstance(lost, Run)
    second = make_chat(HELLO, log=log, sessions=sessions, new_id=iter(map(str, range(9))).__next__)
    await asyncio.sleep(599)
    assert (await refusal(second, conversation.id, NewMessage("two"))).code is Code.CONVERSATION_BUSY
    await asyncio.sleep(2)
    assert isinstance(
        await ending(await second.conversations.send(CALLER, conversation.id, NewMessage("two"))), Complete
    )
    messages = await sessions.messages(TENANT, conversation.id)
    assert [message.status for message in messages] == ["complete", "interrupted", "complete", "complete"]
    assert messages[1].error_code is Code.INTERRUPTED
    lost.cancel()


async def test_of_two_messages_at_once_one_is_refused() -> None:
    chat = make_chat(HELLO)
    conversation = await chat.conversations.create(CALLER)
    results = await asyncio.gather(
        chat.conversations.send(CALLER, conversation.id, NewMessage("one")),
        chat.conversations.send(CALLER, conversation.id, NewMessage("two")),
        return_exceptions=True,
    )
    assert sorted(isinstance(result, Run) for result in results) == [False, True]


async def test_a_deleted_conversation_stops_its_answer() -> None:
    script = FakeProvider(text("half"), 100, [STOP])
    chat = make_chat(script)
    conversation = await chat.conversations.create(CALLER, NewConversation(user_id="u", title="t", metadata={"k": "v"}))
    assert (conversation.user_id, conversation.title, conversation.metadata) == ("u", "t", {"k": "v"})
    run = await chat.conversations.send(CALLER, conversation.id, NewMessage("hi"))
    await asyncio.sleep(1)
    await chat.conversations.delete(CALLER, conversation.id)
    failed = await ending(run)
    assert isinstance(failed, Failed)
    assert (failed.code, script.open_streams) == (Code.CANCELLED, 0)
    assert asyncio.get_running_loop().time() == 1


async def test_the_same_message_under_the_same_key_is_answered_once() -> None:
    """While it is answered, afterwards, and when its log is gone."""
    script = FakeProvider(text("hel"), 5, [*text("lo"), STOP])
    chat = make_chat(script, log=memory_log(ttl_seconds=60))
    conversation = (await chat.conversations.create(CALLER)).id
    runs = [await chat.conversations.send(CALLER, conversation, NewMessage("hi"), key="k") for _ in range(2)]
    first, second = [await collect(run.read()) for run in runs]
    assert first == second
    for pause in (1, 600):
        await asyncio.sleep(pause)
        again = await chat.conversations.send(CALLER, conversation, NewMessage("hi"), key="k")
        events = [event for _, event in await collect(again.read())]
        assert "".join(event.text for event in events if isinstance(event, Token)) == "hello"
        assert isinstance(events[0], Start)
        assert isinstance(events[-1], Complete)
    assert len(script.asked) == 1
    assert len(await chat.sessions.messages(TENANT, conversation)) == 2


@pytest.mark.parametrize("on_busy", get_args(OnBusy))
async def test_a_key_that_comes_twice_at_once_is_answered_once(on_busy: OnBusy) -> None:
    script = FakeProvider(5, [*text("hello"), STOP])
    chat = make_chat(script)
    conversation, message = (await chat.conversations.create(CALLER)).id, NewMessage("hi", on_busy=on_busy)
    runs = await asyncio.gather(*(chat.conversations.send(CALLER, conversation, message, key="k") for _ in range(5)))
    assert len({run.id for run in runs}) == 1
    assert isinstance(await ending(runs[0]), Complete)
    assert len(script.asked) == 1


async def test_a_key_that_waits_twice_in_the_queue_is_answered_once() -> None:
    script = FakeProvider(5, [*text("hello"), STOP])
    chat = make_chat(script)
    conversation, message = (await chat.conversations.create(CALLER)).id, NewMessage("hi", on_busy="enqueue")
    await chat.conversations.send(CALLER, conversation, NewMessage("before"))
    runs = await asyncio.gather(*(chat.conversations.send(CALLER, conversation, message, key="k") for _ in range(5)))
    assert len({run.id for run in runs}) == 1
    assert isinstance(await ending(runs[0]), Complete)
    assert len(script.asked) == 2


async def test_a_key_for_another_message_is_refused_and_may_be_used_again_a_day_later() -> None:
    chat = make_chat(HELLO, sessions=memory_sessions(ttl_seconds=1_000_000))
    conversation = (await chat.conversations.create(CALLER)).id
    await ending(await chat.conversations.send(CALLER, conversation, NewMessage("hi"), key="k"))
    with pytest.raises(ChatError) as caught:
        await chat.conversations.send(CALLER, conversation, NewMessage("ho"), key="k")
    assert caught.value.code is Code.IDEMPOTENCY_MISMATCH
    other = (await chat.conversations.create(CALLER)).id
    await ending(await chat.conversations.send(CALLER, other, NewMessage("ho"), key="k"))
    await asyncio.sleep(86_401)
    await ending(await chat.conversations.send(CALLER, conversation, NewMessage("ho"), key="k"))


async def test_a_message_that_enqueues_waits_its_turn() -> None:
    script = FakeProvider(10, [*text("hello"), STOP])
    chat = make_chat(script)
    conversation = (await chat.conversations.create(CALLER)).id

    async def say(words: str, after: float) -> None:
        await asyncio.sleep(after)
        await ending(await chat.conversations.send(CALLER, conversation, NewMessage(words, on_busy="enqueue")))

    await asyncio.gather(say("one", 0), say("three", 2), say("two", 1))
    messages = await chat.sessions.messages(TENANT, conversation)
    assert [message.content for message in messages] == ["one", "hello", "two", "hello", "three", "hello"]
    assert asyncio.get_running_loop().time() < 31


async def test_the_line_before_a_conversation_is_bounded_and_who_leaves_it_frees_the_place() -> None:
    chat = make_chat(FakeProvider(30, [STOP]))
    conversation = (await chat.conversations.create(CALLER)).id
    await chat.conversations.send(CALLER, conversation, NewMessage("first"))
    line = [
        asyncio.create_task(chat.conversations.send(CALLER, conversation, NewMessage(str(index), on_busy="enqueue")))
        for index in range(MAX_QUEUED)
    ]
    await asyncio.sleep(1)
    assert (await refusal(chat, conversation, NewMessage("more", on_busy="enqueue"))).code is Code.CONVERSATION_BUSY
    for waiting in line:
        waiting.cancel()
    await asyncio.gather(*line, return_exceptions=True)
    await ending(await chat.conversations.send(CALLER, conversation, NewMessage("more", on_busy="enqueue")))
    assert len(await chat.sessions.messages(TENANT, conversation)) == 4


async def test_who_waits_for_too_long_is_refused() -> None:
    chat = make_chat(FakeProvider(100, [STOP]))
    conversation = (await chat.conversations.create(CALLER)).id
    await chat.conversations.send(CALLER, conversation, NewMessage("first"))
    error = await refusal(chat, conversation, NewMessage("more", on_busy="enqueue"))
    assert (error.code, asyncio.get_running_loop().time()) == (Code.CONVERSATION_BUSY, 60)
    assert error.retry_after


async def test_a_message_that_interrupts_ends_the_answer_and_keeps_its_part() -> None:
    script = FakeProvider(text("half"), 100, [STOP])
    chat = make_chat(script)
    conversation = (await chat.conversations.create(CALLER)).id
    first = await chat.conversations.send(CALLER, conversation, NewMessage("one"))
    await asyncio.sleep(1)
    await chat.conversations.send(CALLER, conversation, NewMessage("two", on_busy="interrupt"))
    assert asyncio.get_running_loop().time() < 1.5
    failed = await ending(first)
    assert isinstance(failed, Failed)
    assert (failed.code, failed.partial_saved) == (Code.CANCELLED, True)
    messages = await chat.sessions.messages(TENANT, conversation)
    assert [(message.content, message.status) for message in messages[:3]] == [
        ("one", "complete"),
        ("half", "cancelled"),
        ("two", "complete"),
    ]


async def test_messages_that_interrupt_keep_the_order_in_which_they_came() -> None:
    chat = make_chat(FakeProvider(text("half"), 100, [STOP]))
    conversation = (await chat.conversations.create(CALLER)).id
    await chat.conversations.send(CALLER, conversation, NewMessage("one"))
    await asyncio.sleep(1)
    two = asyncio.ensure_future(chat.conversations.send(CALLER, conversation, NewMessage("two", on_busy="interrupt")))
    await asyncio.sleep(0.05)  # two has interrupted, and not looked again
    await chat.conversations.send(CALLER, conversation, NewMessage("three", on_busy="interrupt"))
    await two
    said = [each.content for each in await chat.sessions.messages(TENANT, conversation) if each.role == "user"]
    assert said == ["one", "two", "three"]
