"""A response with an idempotency key is made once, wherever it goes on and however its requests meet."""

import asyncio
from typing import Any

import pytest
from typing_extensions import override

from chatfleet_api.chat.items import NewItem
from chatfleet_api.chat.once import Once, RequestKey, ResponseReplay
from chatfleet_api.chat.responses import NewResponse, ResponseKey
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Start, Token
from chatfleet_api.domain.principal import Principal
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.sessions.memory import MemorySessionStore
from chatfleet_api.sessions.store import Append, IdempotencyRecord, StoredMessage
from harness.pods.runs import (
    CALLER,
    STOP,
    TENANT,
    Chat,
    FakeProvider,
    collect,
    conversations,
    loop_clock,
    make_chat,
    text,
)

pytestmark = pytest.mark.looptime
KEY = RequestKey.of("k", b"{}")


class Yielding(MemorySessionStore):
    """Lets others go on before each step, as one that is reached by a network does."""

    @override
    async def idempotency_record(self, tenant: str, conversation: str, key: str) -> IdempotencyRecord | None:
        await asyncio.sleep(0.01)
        return await super().idempotency_record(tenant, conversation, key)

    @override
    async def messages(self, tenant: str, conversation: str) -> tuple[StoredMessage, ...]:
        await asyncio.sleep(0.01)
        return await super().messages(tenant, conversation)

    @override
    async def append(self, tenant: str, conversation: str, append: Append) -> int:
        await asyncio.sleep(0.01)
        return await super().append(tenant, conversation, append)


def new(words: str = "hi", **given: Any) -> NewResponse:  # noqa: ANN401  # fields of `NewResponse`
    return NewResponse(ChatRequest("m", ()), (NewItem(Message("user", words)),), **given)


async def respond(chat: Chat, asked: NewResponse, key: RequestKey | None = None) -> ResponseKey:
    """Make a response, or get the one that there is, and read it to its end."""
    make = chat.responses.create(CALLER, asked) if key is None else Once(chat.responses).create(CALLER, asked, key)
    (_, start), *rest = await collect((await make).read())
    assert isinstance(start, Start)
    assert [event for _, event in rest if isinstance(event, Token)] == [Token("yes")]
    return ResponseKey(start.conversation or "", start.run)


def answering() -> FakeProvider:
    return FakeProvider(1, text("yes"), [STOP])


@pytest.mark.parametrize("place", ["thread", "chain", "branch", "conversation"])
@pytest.mark.parametrize(
    "pause",
    [0, 0.005, 0.01, 0.015, 0.5, 30, 120],
    ids=["at once", "before", "while it is looked for", "while it is stored", "meanwhile", "later", "without a log"],
)
async def test_a_request_that_comes_again_gets_the_same_response(place: str, pause: float) -> None:
    chat = make_chat(provider := answering(), sessions=Yielding(conversations(ttl_seconds=3600), clock=loop_clock))
    asked = new()
    if place == "conversation":
        asked = new(conversation=(await chat.conversations.create(CALLER)).id)
    elif place != "thread":
        first = await respond(chat, new("one"))
        if place == "branch":
            await respond(chat, new("two", previous=first))
        asked = new(previous=first)
    before = len(provider.asked)

    async def again(number: int) -> ResponseKey:
        await asyncio.sleep(number * pause)
        return await respond(chat, asked, KEY)

    made = await asyncio.gather(*map(again, range(4)))
    assert len(set(made)) == 1
    assert len(provider.asked) == before + 1
    assert len((await chat.responses.find(CALLER, made[0])).questions) == 1
    goes_on = await respond(chat, new("more", previous=made[0]), RequestKey.of("other", b"{}"))
    assert goes_on != made[0]
    assert await respond(chat, asked, KEY) == made[0], "also when the chain has gone on"


async def test_another_request_under_the_key_is_refused() -> None:
    chat = make_chat(answering())
    first = await respond(chat, new(), KEY)
    for asked in (new(), new(previous=first)):
        with pytest.raises(ChatError) as caught:
            await Once(chat.responses).create(CALLER, asked, RequestKey.of("k", b"[]"))
        assert caught.value.code is Code.IDEMPOTENCY_MISMATCH
    assert len(await chat.sessions.messages(TENANT, first.conversation)) == 2


async def test_a_key_is_the_tenants_own() -> None:
    chat = make_chat(provider := answering())
    first = await respond(chat, new(), KEY)
    run = await Once(chat.responses).create(Principal("other"), new(), KEY)
    assert not isinstance(run, ResponseReplay)
    await collect(run.read())
    assert len(provider.asked) == 2
    assert await respond(chat, new(), KEY) == first


async def test_a_response_that_is_deleted_is_made_anew_but_not_in_a_thread_that_goes_on() -> None:
    chat = make_chat(answering())
    first = await respond(chat, new(), KEY)
    await chat.responses.delete(CALLER, first)
    second = await respond(chat, new(), KEY)
    assert second != first
    await respond(chat, new("more", previous=second))
    await chat.responses.delete(CALLER, second)
    with pytest.raises(ChatError) as caught:
        await Once(chat.responses).create(CALLER, new(), KEY)
    assert caught.value.code is Code.NOT_FOUND


async def test_a_busy_conversation_is_busy_for_a_new_key() -> None:
    chat = make_chat(answering())
    conversation = (await chat.conversations.create(CALLER)).id
    once = Once(chat.responses)
    run = await once.create(CALLER, new(conversation=conversation), KEY)
    with pytest.raises(ChatError) as caught:
        await once.create(CALLER, new(conversation=conversation), RequestKey.of("other", b"{}"))
    assert caught.value.code is Code.CONVERSATION_BUSY
    await collect(run.read())
