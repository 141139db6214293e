"""Threads of AG-UI: what is read of a run's input, and runs that are joined."""

import json
from typing import Any

import pytest

from chatfleet_api.chat.sending import NewMessage
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.web.dialects.ag_ui.request import Question, read_question
from harness.clients.asgi import Exchange, ask, asking, get, post
from harness.pods.api_pod import Pod
from harness.pods.runs import STOP, FakeProvider, text

HI = {"id": "msg-1", "role": "user", "content": "Hi"}
ANSWER = {"id": "msg-2", "role": "assistant", "content": "a"}


def body(**fields: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
    least = {"threadId": "t", "runId": "r", "messages": [HI], "tools": [], "context": [], "state": {}}
    return least | {"protocolVersion": "1.0", "forwardedProps": {}} | fields


def send(**fields: Any) -> Exchange:  # noqa: ANN401  # JSON
    return post("/api/v1/ag-ui", body(**fields))


def test_the_last_message_is_the_question_and_its_id_the_key() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    again = {"id": "msg-3", "role": "user", "content": parts}
    question = read_question(json.dumps(body(messages=[HI, ANSWER, again], forwardedProps={"model": "m"})).encode())
    assert question == Question("t", "r", NewMessage("ab", "m"), "ag-ui:msg-3")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"threadId": "a b"}, "threadId"),
        ({"threadId": "a\n"}, "threadId"),
        ({"runId": ""}, "runId"),
        ({"messages": []}, "messages"),
        ({"messages": [HI, ANSWER]}, "messages[1].role"),
        ({"messages": [{**HI, "role": "developer"}, HI]}, "messages[0].role"),
        ({"messages": [{**HI, "content": ""}]}, "messages[0].content"),
        ({"messages": [{"id": "m", "role": "user"}]}, "messages[0].content"),
        ({"messages": [{**HI, "content": [{"type": "image", "source": {}}]}]}, "messages[0].content"),
        ({"tools": [{"name": "add", "description": ""}]}, "tools"),
        ({"context": [{"description": "", "value": ""}]}, "context"),
        ({"state": {"a": 1}}, "state"),
        ({"resume": [{"interruptId": "i", "status": "resolved"}]}, "resume"),
        ({"forwardedProps": {"temperature": 3}}, "forwardedProps.temperature"),
        ({"forwardedProps": {"color": "red"}}, "forwardedProps.color"),
        ({"stream": True}, "stream"),
    ],
)
def test_an_input_that_cannot_be_run_is_refused_by_field(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ChatError) as caught:
        read_question(json.dumps(body(**fields)).encode())
    assert (caught.value.code, caught.value.param) == (Code.INVALID_REQUEST, param)


@pytest.mark.looptime
async def test_a_thread_is_a_conversation_whose_history_the_server_keeps() -> None:
    provider = FakeProvider(text("a"), [STOP])
    pod = Pod(provider)
    first = await ask(pod.app, send())
    second = await ask(pod.app, send(runId="r2", messages=[HI, ANSWER, {**HI, "id": "msg-3"}]))
    assert first.status == second.status == 200
    assert [[each.content for each in request.messages] for request in provider.asked] == [["Hi"], ["Hi", "a", "Hi"]]
    (listed,) = (await ask(pod.app, get("/api/v1/conversations"))).json()["conversations"]
    assert listed["id"].encode() in second.body


@pytest.mark.looptime
async def test_a_message_that_is_sent_again_joins_its_run() -> None:
    provider = FakeProvider(text("a"), 2.0, [STOP])
    pod = Pod(provider)
    sent, again = send(), send()
    async with asking(pod.app, sent) as answering:
        await sent.until(b"TEXT_MESSAGE_CONTENT")
        await ask(pod.app, again)
        await answering
    assert sent.body == again.body == (await ask(pod.app, send())).body
    assert len(provider.asked) == 1


@pytest.mark.looptime
async def test_a_failure_before_the_first_token_has_its_status() -> None:
    failed = await ask(Pod(FakeProvider(ChatError(Code.UPSTREAM_UNAVAILABLE))).app, send())
    assert (failed.status, failed.json()["code"]) == (502, "upstream_unavailable")
