"""Responses: runs that are retrieved and cancelled by their id."""

import asyncio

import pytest

from chatfleet_api.chat.sending import NewMessage
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Complete, Failed, Start
from chatfleet_api.domain.principal import Principal
from chatfleet_api.domain.request import ChatRequest, Message
from harness.pods.runs import CALLER, STOP, Chat, FakeProvider, collect, make_chat, text

pytestmark = pytest.mark.looptime

REQUEST = ChatRequest("m", (Message("user", "hi"),))


async def refusal(chat: Chat, principal: Principal, run: str) -> Code:
    with pytest.raises(ChatError) as caught:
        await collect(chat.responses.retrieve(principal, run))
    return caught.value.code


async def test_a_response_in_progress_is_its_start_and_later_all_of_it() -> None:
    chat = make_chat(FakeProvider(text("a"), 5, [STOP]))
    run = await chat.responses.create(CALLER, REQUEST)
    await asyncio.sleep(1)
    assert isinstance((await collect(chat.responses.retrieve(CALLER, run.id)))[0][1], Start)
    await asyncio.sleep(10)
    events = await collect(chat.responses.retrieve(CALLER, run.id))
    assert isinstance(events[-1][1], Complete)
    assert len(events) == 3


async def test_a_cancelled_response_is_retrieved_as_such() -> None:
    chat = make_chat(FakeProvider(text("a"), 100, [STOP]))
    run = await chat.responses.create(CALLER, REQUEST)
    await asyncio.sleep(1)
    assert await chat.responses.cancel(CALLER, run.id)
    ending = (await collect(chat.responses.read(CALLER, run.id)))[-1][1]
    assert isinstance(ending, Failed)
    assert ending.code is Code.CANCELLED
    assert not await chat.responses.cancel(CALLER, run.id)


async def test_an_answer_in_a_conversation_is_no_response() -> None:
    chat = make_chat(FakeProvider(text("a"), [STOP]))
    conversation = await chat.conversations.create(CALLER)
    run = await chat.conversations.send(CALLER, conversation.id, NewMessage("hi"))
    await collect(run.read())
    assert await refusal(chat, CALLER, run.id) is Code.NOT_FOUND


async def test_a_response_of_another_tenant_is_not_found() -> None:
    chat = make_chat(FakeProvider(text("a"), [STOP]))
    run = await chat.responses.create(CALLER, REQUEST)
    await collect(run.read())
    assert await refusal(chat, Principal("other"), run.id) is Code.NOT_FOUND


async def test_a_response_that_is_not_stored_is_kept_nowhere() -> None:
    chat = make_chat(FakeProvider(text("a"), [STOP]))
    run = await chat.responses.create(CALLER, REQUEST, store=False)
    await collect(run.read())
    assert await refusal(chat, CALLER, run.id) is Code.NOT_FOUND


async def test_a_response_that_is_stored_is_retrieved_also_without_a_background() -> None:
    chat = make_chat(FakeProvider(text("a"), [STOP]))
    run = await chat.responses.create(CALLER, REQUEST)
    await collect(run.read())
    assert isinstance((await collect(chat.responses.retrieve(CALLER, run.id)))[-1][1], Complete)
