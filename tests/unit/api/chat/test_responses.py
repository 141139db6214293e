"""Responses: turns that are retrieved, continued, cancelled and deleted by their id."""

import asyncio
import json
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace
from typing_extensions import override

from chatfleet_api.chat.items import NewItem
from chatfleet_api.chat.responses import NewResponse, ResponseKey, StoredResponse
from chatfleet_api.chat.sending import NewMessage
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Complete, Event, Failed, Start, Token, ToolCall
from chatfleet_api.domain.principal import Principal
from chatfleet_api.domain.request import RESPONSES, ChatRequest, Message, Sent, Untranslated
from chatfleet_api.providers.provider import Opening
from chatfleet_api.runs.run import Run
from harness.pods.runs import CALLER, STOP, TENANT, Chat, FakeProvider, OneModel, collect, make_chat, text

pytestmark = pytest.mark.looptime


def new(words: str = "hi", **given: Any) -> NewResponse:  # noqa: ANN401  # fields of `NewResponse`
    return NewResponse(ChatRequest("m", ()), (NewItem(Message("user", words)),), **given)


async def respond(chat: Chat, words: str = "hi", **given: Any) -> ResponseKey:  # noqa: ANN401  # as above
    """Make a response, read it to its end, and return where it is."""
    run = await chat.responses.create(CALLER, new(words, **given))
    events = await collect(run.read())
    return key_of(events[0][1])


def key_of(start: Event) -> ResponseKey:
    assert isinstance(start, Start)
    return ResponseKey(start.conversation or "", start.run)


async def begun(run: Run) -> ResponseKey:
    return key_of((await anext(run.read())).events[0])


async def events_of(chat: Chat, key: ResponseKey) -> tuple[Event, ...]:
    return (await chat.responses.find(CALLER, key)).batch().events


async def refusal(chat: Chat, principal: Principal, key: ResponseKey) -> Code:
    with pytest.raises(ChatError) as caught:
        await chat.responses.find(principal, key)
    return caught.value.code


def echoing() -> FakeProvider:
    return FakeProvider(text("yes"), [STOP])


def said(provider: FakeProvider) -> list[str]:
    """Return what the model was asked last."""
    return [str(message.content) for message in provider.asked[-1].messages]


async def test_a_response_in_progress_is_its_start_and_later_all_of_it() -> None:
    chat = make_chat(FakeProvider(text("a"), 5, [STOP]))
    key = await begun(await chat.responses.create(CALLER, new(echo="{}")))
    await asyncio.sleep(1)
    assert [type(event) for event in await events_of(chat, key)] == [Start]
    await asyncio.sleep(10)
    start, *rest = await events_of(chat, key)
    assert isinstance(start, Start)
    assert (start.run, start.echo) == (key.run, "{}")
    assert [type(event) for event in rest] == [Token, Complete]


async def test_what_is_stored_is_what_the_run_showed() -> None:
    chat = make_chat(FakeProvider(text("a", "b"), 2, [STOP]))
    run = await chat.responses.create(CALLER, new(echo="{}"))
    shown = [event for _, event in await collect(run.read())]
    stored = await events_of(chat, key_of(shown[0]))
    assert stored[0] == shown[0]
    end, kept = shown[-1], stored[-1]
    assert isinstance(end, Complete)
    assert isinstance(kept, Complete)
    assert (kept.finish_reason, kept.usage, kept.latency_ms) == (end.finish_reason, end.usage, end.latency_ms)


async def test_a_response_is_read_from_the_store_when_its_log_is_gone() -> None:
    chat = make_chat(echoing())
    key = await respond(chat)
    found = await chat.responses.find(CALLER, key)
    await asyncio.sleep(120)
    events = await collect(chat.responses.read(CALLER, found))
    assert [type(event) for _, event in events] == [Start, Token, Complete]


async def test_a_cancelled_response_is_retrieved_as_such_with_its_text() -> None:
    chat = make_chat(FakeProvider(text("a"), 100, [STOP]))
    key = await begun(await chat.responses.create(CALLER, new()))
    await asyncio.sleep(1)
    assert await chat.responses.cancel(CALLER, key)
    await asyncio.sleep(1)
    *_, words, ending = await events_of(chat, key)
    assert words == Token("a")
    assert isinstance(ending, Failed)
    assert ending.code is Code.CANCELLED
    assert not await chat.responses.cancel(CALLER, key)


async def test_an_answer_in_a_conversation_is_no_response() -> None:
    chat = make_chat(echoing())
    conversation = await chat.conversations.create(CALLER)
    run = await chat.conversations.send(CALLER, conversation.id, NewMessage("hi"))
    await collect(run.read())
    assert await refusal(chat, CALLER, ResponseKey(conversation.id, run.id)) is Code.NOT_FOUND


async def test_a_response_of_another_tenant_is_not_found() -> None:
    chat = make_chat(echoing())
    key = await respond(chat)
    other = Principal("other")
    assert await refusal(chat, other, key) is Code.NOT_FOUND
    with pytest.raises(ChatError) as caught:
        await chat.responses.create(other, new(previous=key))
    assert caught.value.code is Code.PREVIOUS_RESPONSE_NOT_FOUND


async def test_a_response_that_is_not_stored_is_kept_nowhere() -> None:
    provider = echoing()
    chat = make_chat(provider)
    first = await respond(chat, "one")
    run = await chat.responses.create(CALLER, new("two", previous=first, store=False))
    await collect(run.read())
    assert said(provider) == ["one", "yes", "two"]
    assert await refusal(chat, CALLER, ResponseKey(first.conversation, run.id)) is Code.NOT_FOUND
    assert len(await chat.sessions.messages(TENANT, first.conversation)) == 2


async def test_a_chain_has_all_that_was_said_and_instructions_only_of_its_last_turn() -> None:
    provider = echoing()
    chat = make_chat(provider)
    key = await respond(chat, "one", instructions=(Message("system", "first"),))
    for number in ("two", "three"):
        key = await respond(chat, number, previous=key, instructions=(Message("system", "later"),))
    assert said(provider) == ["later", "one", "yes", "two", "yes", "three"]
    assert (await chat.sessions.list(TENANT)).items == ()


async def test_a_chain_goes_on_in_its_thread_and_a_branch_in_one_of_its_own() -> None:
    provider = echoing()
    chat = make_chat(provider)
    first = await respond(chat, "one")
    second = await respond(chat, "two", previous=first)
    branch = await respond(chat, "other", previous=first)
    assert said(provider) == ["one", "yes", "other"]
    third = await respond(chat, "three", previous=second)
    assert said(provider) == ["one", "yes", "two", "yes", "three"]
    await respond(chat, "more", previous=branch)
    assert said(provider) == ["one", "yes", "other", "yes", "more"]
    assert first.conversation == second.conversation == third.conversation != branch.conversation


async def test_branches_at_the_same_time_all_have_the_same_past() -> None:
    provider = FakeProvider(1, text("yes"), [STOP])
    chat = make_chat(provider)
    first = await respond(chat, "one")
    keys = await asyncio.gather(*(respond(chat, f"b{number}", previous=first) for number in range(3)))
    assert {tuple(map(str, (m.content for m in asked.messages))) for asked in provider.asked[1:]} == {
        ("one", "yes", f"b{number}") for number in range(3)
    }
    assert len({key.conversation for key in keys}) == 3


async def test_a_response_in_progress_is_not_continued() -> None:
    chat = make_chat(FakeProvider(text("a"), 5, [STOP]))
    key = await begun(await chat.responses.create(CALLER, new()))
    with pytest.raises(ChatError) as caught:
        await chat.responses.create(CALLER, new(previous=key))
    assert caught.value.code is Code.CONVERSATION_BUSY


async def test_a_response_in_a_conversation_adds_to_it_and_one_that_continues_it_does_not() -> None:
    provider = echoing()
    chat = make_chat(provider)
    conversation = (await chat.conversations.create(CALLER)).id
    sent = await chat.conversations.send(CALLER, conversation, NewMessage("zero"))
    await collect(sent.read())
    key = await respond(chat, "one", conversation=conversation)
    assert said(provider) == ["zero", "yes", "one"]
    assert key.conversation == conversation
    await respond(chat, "two", previous=key)
    assert said(provider) == ["zero", "yes", "one", "yes", "two"]
    kept = await chat.conversations.messages(CALLER, conversation)
    assert [message.content for message in kept] == ["zero", "yes", "one", "yes"]


async def test_a_deleted_response_is_gone_and_its_items_go_with_the_last_of_its_thread() -> None:
    provider = echoing()
    chat = make_chat(provider)
    first = await respond(chat, "one")
    second = await respond(chat, "two", previous=first)
    await chat.responses.delete(CALLER, first)
    assert await refusal(chat, CALLER, first) is Code.NOT_FOUND
    with pytest.raises(ChatError) as caught:
        await respond(chat, previous=first)
    assert caught.value.code is Code.PREVIOUS_RESPONSE_NOT_FOUND
    await respond(chat, "three", previous=second, store=False)
    assert said(provider) == ["one", "yes", "two", "yes", "three"]
    await chat.responses.delete(CALLER, second)
    with pytest.raises(ChatError) as caught:
        await chat.sessions.messages(TENANT, first.conversation)
    assert caught.value.code is Code.CONVERSATION_NOT_FOUND
    with pytest.raises(ChatError) as caught:
        await chat.responses.delete(CALLER, second)
    assert caught.value.code is Code.NOT_FOUND


async def test_a_response_that_is_deleted_in_progress_is_cancelled() -> None:
    provider = FakeProvider(text("a"), 100, [STOP])
    chat = make_chat(provider)
    key = await begun(await chat.responses.create(CALLER, new()))
    await asyncio.sleep(1)
    await chat.responses.delete(CALLER, key)
    await asyncio.sleep(1)
    assert provider.open_streams == 0
    assert await refusal(chat, CALLER, key) is Code.NOT_FOUND


@pytest.mark.parametrize("background", [True, False])
async def test_a_request_that_its_upstream_cannot_get_is_not_stored(*, background: bool) -> None:
    chat = make_chat(provider := echoing())
    conversation = (await chat.conversations.create(CALLER)).id
    catalogue = chat.catalogue()
    assert isinstance(catalogue, OneModel)
    catalogue.unsupported = ChatError(Code.INVALID_REQUEST, param="tools[0]")
    sent = None if background else Sent(RESPONSES, Raw(b"{}"), 1, (Untranslated("tools[0]", "Unsupported."),))
    asked = new(conversation=conversation, background=background)
    with pytest.raises(ChatError) as caught:
        await chat.responses.create(CALLER, asked._replace(request=replace(asked.request, sent=sent)))
    assert caught.value.param == "tools[0]"
    assert await chat.sessions.messages(TENANT, conversation) == ()
    assert provider.asked == []


async def test_items_are_stored_as_they_came() -> None:
    provider = echoing()
    chat = make_chat(provider)
    item = '{"role": "user", "content": [{"type": "input_text", "text": "hi", "new_field": 1}]}'
    asked = NewResponse(ChatRequest("m", ()), (NewItem(Message("user", "hi"), item),))
    events = await collect((await chat.responses.create(CALLER, asked)).read())
    key = key_of(events[0][1])
    found: StoredResponse = await chat.responses.find(CALLER, key)
    assert [(message.content, message.item) for message in found.questions] == [("hi", item)]
    await respond(chat, "more", previous=key)
    assert said(provider) == ["hi", "yes", "more"]


class Caller(FakeProvider):
    """Calls a tool for a message of the user, and answers when it has the result."""

    @override
    def open(self, request: ChatRequest) -> Opening:
        last = request.messages[-1]
        made = ToolCall(0, f"call-{len(self.asked)}", "add", "{}") if last.role == "user" else Token("yes")
        self.steps = ((made,), [STOP])
        return super().open(request)


@pytest.mark.timeout(240)  # the model gets half a million messages in all
async def test_a_chain_of_a_thousand_turns_keeps_its_context_with_calls_of_tools() -> None:
    provider = Caller()
    chat = make_chat(provider)
    key = await respond(chat, "0")
    for turn in range(1, 1000):
        call = f"call-{turn - 1}"
        item = json.dumps({"type": "function_call_output", "call_id": call, "output": "4"})
        result = NewItem(Message("tool", "4", tool_call_id=call), item)
        asked = NewResponse(ChatRequest("m", ()), (result,) if turn % 2 else new(str(turn)).items, previous=key)
        events = await collect((await chat.responses.create(CALLER, asked)).read())
        key = key_of(events[0][1])
    got = provider.asked[-1].messages
    roles = ("user", "assistant", "tool", "assistant")
    assert [message.role for message in got] == [*roles * 499, *roles[:3]]
    assert [message.content for message in got[::4]] == [str(turn) for turn in range(0, 1000, 2)]
    calls = [call.id for message in got for call in message.tool_calls or ()]
    assert calls == [message.tool_call_id for message in got if message.role == "tool"]
    assert len(set(calls)) == 500
    assert len((await chat.responses.find(CALLER, key)).questions) == 1
