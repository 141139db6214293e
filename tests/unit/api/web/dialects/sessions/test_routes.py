"""Sessions: made with their first message, continued by their id, and never those of another caller."""

import asyncio
import json
from typing import Any

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.sessions.store import MessageStatus, StoredMessage
from chatfleet_api.web.dialects.sessions.request import MAX_HISTORY, read_chat, read_chat_stream
from chatfleet_api.web.dialects.sessions.routes import session_status
from harness.clients.asgi import Exchange, ask, asking, get, post
from harness.pods.api_pod import Pod
from harness.pods.runs import STOP, FakeProvider, text

pytestmark = pytest.mark.looptime

UNKNOWN = "00000000-0000-7000-8000-999999999999"
HISTORY = [{"role": "user", "content": "Mine is 7."}, {"role": "assistant", "content": "Noted."}]


def asked(provider: FakeProvider) -> list[list[Any]]:
    return [[message.content for message in request.messages] for request in provider.asked]


async def chat(pod: Pod, message: str, path: str = "/chat", **fields: Any) -> Exchange:  # noqa: ANN401  # JSON
    return await ask(pod.app, post(path, {"message": message, **fields}))


def events(answer: Exchange) -> list[dict[str, Any]]:
    lines = answer.body.decode().splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


def session_of(answer: Exchange) -> str:
    start = events(answer)[0]
    assert start["type"] == "start"
    return str(start["session_id"])


@pytest.mark.feature(7, 17)
async def test_a_session_begins_with_a_message_and_goes_on_by_its_id() -> None:
    provider = FakeProvider(text("Hel", "lo"), [STOP])
    pod = Pod(provider)
    first = await chat(pod, "Hi")
    assert first.headers["content-type"].startswith("text/event-stream")
    assert [event["type"] for event in events(first)] == ["start", "token", "token", "complete"]
    again = await chat(pod, "More", session_id=session_of(first))
    assert session_of(again) == session_of(first)
    assert asked(provider) == [["Hi"], ["Hi", "Hello", "More"]]


@pytest.mark.parametrize("session", [UNKNOWN, "mine"])
async def test_a_session_that_does_not_exist_is_made_with_an_id_of_the_servers(session: str) -> None:
    answer = await chat(Pod(FakeProvider(text("a"), [STOP])), "Hi", session_id=session)
    assert answer.status == 200
    assert session_of(answer) != session


@pytest.mark.feature(8)
async def test_a_history_begins_a_new_conversation_and_changes_none() -> None:
    provider = FakeProvider(text("7"), [STOP])
    pod, path = Pod(provider), "/api/chat/stream"
    first = await chat(pod, "Which?", path, history=HISTORY)
    await chat(pod, "Sure?", path, conversation_id=session_of(first), history=[{"role": "user", "content": "other"}])
    assert asked(provider) == [
        ["Mine is 7.", "Noted.", "Which?"],
        ["Mine is 7.", "Noted.", "Which?", "7", "Sure?"],
    ]


async def test_a_first_message_that_is_sent_again_makes_no_second_session() -> None:
    provider = FakeProvider(text("a"), [STOP])
    pod = Pod(provider)
    body = {"message": "Hi", "history": HISTORY}
    answers = [await ask(pod.app, post("/api/chat/stream", body, **{"idempotency-key": "k"})) for _ in range(2)]
    assert len({session_of(answer) for answer in answers}) == 1
    assert len(provider.asked) == 1
    session = (await ask(pod.app, get(f"/sessions/{session_of(answers[0])}"))).json()
    assert [message["content"] for message in session["messages"]] == ["Mine is 7.", "Noted.", "Hi", "a"]


@pytest.mark.feature(14, 36)
async def test_a_session_shows_its_messages_status_and_use_until_it_is_deleted() -> None:
    pod = Pod(FakeProvider(text("a"), [STOP]))
    session = session_of(await chat(pod, "Hi", user_id="ann"))
    shown = (await ask(pod.app, get(f"/sessions/{session}"))).json()
    assert shown["session_id"] == shown["id"] == session
    assert (shown["status"], shown["user_id"]) == ("completed", "ann")
    assert shown["last_activity"] >= shown["created_at"]
    assert shown["resource_usage"]["requests"] == 1
    assert (await ask(pod.app, Exchange("DELETE", f"/sessions/{session}"))).status == 204
    assert (await ask(pod.app, get(f"/sessions/{session}"))).status == 404


async def test_a_session_whose_answer_is_written_is_active() -> None:
    pod = Pod(FakeProvider(text("a"), 3600.0))
    asked_now = post("/chat", {"message": "Hi"})
    async with asking(pod.app, asked_now):
        await asked_now.until(b"event: token")
        session = session_of(asked_now)
        assert (await ask(pod.app, get(f"/sessions/{session}"))).json()["status"] == "active"
        await ask(pod.app, Exchange("DELETE", f"/sessions/{session}"))
        await asyncio.sleep(0)


def _message(role: str, status: str = "complete") -> StoredMessage:
    known: MessageStatus = status  # type: ignore[assignment]  # one of them
    return StoredMessage("m", role, "", "2026-01-01T00:00:00Z", known)  # type: ignore[arg-type]  # a role


@pytest.mark.parametrize(
    ("messages", "status"),
    [
        ([], "paused"),
        ([_message("user")], "paused"),
        ([_message("user"), _message("assistant", "interrupted")], "paused"),
        ([_message("user"), _message("assistant")], "completed"),
        ([_message("user"), _message("assistant", "pending")], "active"),
    ],
)
def test_the_status_of_a_session_is_that_of_its_last_answer(messages: list[StoredMessage], status: str) -> None:
    assert session_status(messages) == status


@pytest.mark.feature(7)
@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"message": ""}', "message"),
        (b"{}", "message"),
        (b'{"message": "Hi", "session_id": 1}', "session_id"),
        (b'{"message": "Hi", "temperature": 3}', "temperature"),
        (b'{"message": "Hi", "history": []}', "history"),
    ],
)
def test_a_message_that_cannot_be_answered_is_refused_by_field(body: bytes, param: str) -> None:
    with pytest.raises(ChatError) as caught:
        read_chat(body)
    assert (caught.value.code, caught.value.param) == (Code.INVALID_REQUEST, param)


def test_a_history_has_bounds_and_known_roles() -> None:
    with pytest.raises(ChatError) as caught:
        read_chat_stream(b'{"message": "Hi", "history": [{"role": "tool", "content": "x"}]}')
    assert caught.value.param == "history[0].role"
    many = b",".join([b'{"role": "user", "content": "x"}'] * (MAX_HISTORY + 1))
    with pytest.raises(ChatError) as caught:
        read_chat_stream(b'{"message": "Hi", "history": [' + many + b"]}")
    assert caught.value.param == "history"


@pytest.mark.feature(10)
async def test_the_paths_without_a_version_are_those_with_one() -> None:
    pod = Pod(FakeProvider(text("a"), [STOP]))
    made = (await ask(pod.app, post("/api/conversations", {"title": "t"}))).json()
    path = f"/api/conversations/{made['id']}"
    sent = await ask(pod.app, post(f"{path}/messages", {"content": "Hi", "stream": True}))
    assert events(sent)[-1]["type"] == "complete"
    assert (await ask(pod.app, get(path))).json() == (await ask(pod.app, get(f"/api/v1{path[4:]}"))).json()
    assert (await ask(pod.app, get("/api/conversationsx"))).status == 404
