"""Chats of `useChat`: what is read of a request, and what resumes."""

import asyncio
import json
from typing import Any

import pytest

from chatfleet_api.chat.client_ids import conversation_of
from chatfleet_api.chat.sending import NewMessage
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.principal import Principal
from chatfleet_api.web.dialects.ai_sdk.request import Question, known_chat, read_question
from harness.clients.asgi import Exchange, ask, asking, get, post
from harness.pods.api_pod import Pod
from harness.pods.runs import STOP, FakeProvider, text

PATH = "/api/v1/ai-sdk"
HI = {"id": "msg-1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}
ANSWER = {"id": "msg-2", "role": "assistant", "parts": [{"type": "step-start"}, {"type": "text", "text": "a"}]}


def body(**fields: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
    return {"id": "chat-1", "messages": [HI], "trigger": "submit-message", **fields}


def send(**fields: Any) -> Exchange:  # noqa: ANN401  # JSON
    return post(PATH, body(**fields))


def resume(chat: str = "chat-1") -> Exchange:
    return get(f"{PATH}/{chat}/stream")


def asked(provider: FakeProvider) -> list[list[Any]]:
    return [[message.content for message in request.messages] for request in provider.asked]


def test_the_last_message_is_the_question_and_its_id_the_key() -> None:
    again = {"id": "msg-3", "role": "user", "parts": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
    question = read_question(json.dumps(body(messages=[HI, ANSWER, again], model="m", temperature=1)).encode())
    assert question == Question("chat-1", NewMessage("ab", "m", 1.0), "ai-sdk:msg-3")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"id": "a b"}, "id"),
        ({"id": ""}, "id"),
        ({"id": "x" * 129}, "id"),
        ({"messages": []}, "messages"),
        ({"trigger": "edit"}, "trigger"),
        ({"messageId": "msg-2"}, "messageId"),
        ({"messages": [HI, ANSWER]}, "messages[1].role"),
        ({"messages": [{**HI, "role": "system"}, HI]}, "messages[0].role"),
        ({"messages": [{**HI, "id": "a\n"}]}, "messages[0].id"),
        ({"messages": [{**HI, "parts": []}]}, "messages[0].parts"),
        ({"messages": [{**HI, "parts": [{"type": "text", "text": ""}]}]}, "messages[0].parts"),
        ({"messages": [{**HI, "parts": ["Hi"]}]}, "messages[0].parts[0]"),
        ({"messages": [{**HI, "parts": [{"type": "file", "url": "x"}]}]}, "messages[0].parts[0].type"),
        ({"tools": []}, "tools"),
        ({"temperature": 3}, "temperature"),
    ],
)
def test_a_request_that_cannot_be_answered_is_refused_by_field(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ChatError) as caught:
        read_question(json.dumps(body(**fields)).encode())
    assert (caught.value.code, caught.value.param) == (Code.INVALID_REQUEST, param)


def test_an_id_that_no_chat_can_have_is_refused() -> None:
    assert known_chat("a.b~c:d_e-F0") == "a.b~c:d_e-F0"
    with pytest.raises(ChatError):
        known_chat("a/b")


def test_users_who_name_a_chat_alike_have_one_each() -> None:
    ann, bob = Principal("acme", user="ann"), Principal("acme", user="bob")
    assert conversation_of(ann, "c") == conversation_of(ann, "c")
    assert len({conversation_of(each, "c") for each in (ann, bob, Principal("acme"))}) == 3


@pytest.mark.looptime
async def test_a_chat_is_a_conversation_whose_history_the_server_keeps() -> None:
    provider = FakeProvider(text("a"), [STOP])
    pod = Pod(provider)
    first = await ask(pod.app, send())
    second = await ask(pod.app, send(messages=[HI, ANSWER, {**HI, "id": "msg-3"}]))
    assert first.status == second.status == 200
    assert first.headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert first.body.endswith(b"data: [DONE]\n\n")
    assert asked(provider) == [["Hi"], ["Hi", "a", "Hi"]]
    listed = (await ask(pod.app, get("/api/v1/conversations"))).json()["conversations"]
    assert [each["id"].encode() in second.body for each in listed] == [True]


@pytest.mark.looptime
async def test_a_message_that_is_sent_again_is_answered_once() -> None:
    provider = FakeProvider(text("a"), [STOP])
    pod = Pod(provider)
    first, again = await ask(pod.app, send()), await ask(pod.app, send(messageId="msg-1"))
    assert again.body == first.body
    assert asked(provider) == [["Hi"]]


@pytest.mark.looptime
async def test_an_edited_message_and_another_answer_to_it_are_refused() -> None:
    provider = FakeProvider(text("a"), [STOP])
    pod = Pod(provider)
    await ask(pod.app, send())
    edited = await ask(pod.app, send(messages=[{**HI, "parts": [{"type": "text", "text": "Bye"}]}], messageId="msg-1"))
    another = await ask(pod.app, send(trigger="regenerate-message", messageId="msg-2"))
    assert [(each.status, each.json()["param"]) for each in (edited, another)] == [(400, "messages"), (400, "trigger")]
    assert asked(provider) == [["Hi"]]


@pytest.mark.looptime
async def test_a_button_for_another_answer_sends_a_message_that_has_none() -> None:
    pod = Pod(FakeProvider(text("a"), 2.0, [STOP]))
    sent, again = send(trigger="regenerate-message"), send(trigger="regenerate-message")
    async with asking(pod.app, sent) as answering:
        await sent.until(b"text-delta")
        await ask(pod.app, again)
        await answering
    assert sent.status == 200
    assert sent.body == again.body


@pytest.mark.looptime
async def test_a_page_that_is_reloaded_gets_the_answer_from_its_first_part() -> None:
    pod = Pod(FakeProvider(text("a"), 2.0, text("b"), [STOP]))
    sent, joined = send(), resume()
    async with asking(pod.app, sent) as answering:
        await sent.until(b"text-delta")
        task = asyncio.ensure_future(ask(pod.app, joined))
        await answering
        await task
    later = await ask(pod.app, resume())
    assert sent.body == joined.body == later.body
    assert joined.headers["x-vercel-ai-ui-message-stream"] == "v1"


@pytest.mark.looptime
async def test_there_is_nothing_to_resume_before_the_first_message_and_when_events_are_kept_no_longer() -> None:
    pod = Pod(FakeProvider(text("a"), [STOP]))
    assert (await ask(pod.app, resume())).status == 204
    assert (await ask(pod.app, get("/api/v1/conversations"))).json()["conversations"] == []
    await ask(pod.app, send())
    await asyncio.sleep(61)
    assert (await ask(pod.app, resume())).status == 204
    assert (await ask(pod.app, resume("a%20b"))).status == 400


@pytest.mark.looptime
async def test_a_failure_before_the_first_token_has_its_status() -> None:
    pod = Pod(FakeProvider(ChatError(Code.UPSTREAM_UNAVAILABLE)))
    failed = await ask(pod.app, send())
    assert (failed.status, failed.json()["code"]) == (502, "upstream_unavailable")


@pytest.mark.looptime
@pytest.mark.parametrize("mode", ["continue", "cancel"])
async def test_a_client_that_disconnects_ends_the_answer_as_configured(mode: str) -> None:
    provider = FakeProvider(text("a"), 3600.0)
    pod = Pod(provider)
    pod.change("conversations", on_client_disconnect=mode)
    sent = send()
    async with asking(pod.app, sent) as answering:
        await sent.until(b"text-delta")
        sent.left.set()
        await answering
    await asyncio.sleep(1)
    assert provider.open_streams == (1 if mode == "continue" else 0)
