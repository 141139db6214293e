"""Conversations and their messages, request by request."""

import asyncio
from typing import Any

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.web.dialects.native.routes import known_id
from chatfleet_api.web.extensions import WRITE
from harness.clients.asgi import Exchange, ask, asking, get, post
from harness.pods.api_pod import Pod
from harness.pods.runs import STOP, FakeProvider, text

pytestmark = pytest.mark.looptime

BASE = "/api/v1/conversations"
NOBODY = f"{BASE}/00000000-0000-7000-8000-999999999999"


async def begin(pod: Pod, **fields: Any) -> str:  # noqa: ANN401  # any JSON
    """Begin a conversation and return its path."""
    return f"{BASE}/{(await ask(pod.app, post(BASE, fields))).json()['id']}"


@pytest.mark.feature(10, 32)
async def test_a_conversation_is_made_shown_listed_and_forgotten() -> None:
    pod = Pod(FakeProvider())
    made = await ask(pod.app, post(BASE, {"user_id": "u", "title": "t", "metadata": {"a": 1}}))
    assert made.status == 201
    conversation = made.json()
    assert set(conversation) == {"id", "user_id", "title", "metadata", "created_at", "updated_at"}
    path = f"{BASE}/{conversation['id']}"
    assert (await ask(pod.app, get(path))).json() == conversation | {"head": None, "messages": []}
    listed = (await ask(pod.app, get(f"{BASE}?user_id=u"))).json()
    assert listed == {"conversations": [conversation], "next_cursor": None}
    assert (await ask(pod.app, get(f"{BASE}?user_id=other"))).json()["conversations"] == []
    assert (await ask(pod.app, Exchange("DELETE", path))).status == 204
    assert (await ask(pod.app, get(path))).status == 404


async def test_a_listing_goes_on_where_it_ended() -> None:
    pod = Pod(FakeProvider())
    made = [await begin(pod) for _ in range(3)]
    first = (await ask(pod.app, get(f"{BASE}?limit=2"))).json()
    second = (await ask(pod.app, get(f"{BASE}?limit=2&cursor={first['next_cursor']}"))).json()
    assert sorted(f"{BASE}/{each['id']}" for each in first["conversations"] + second["conversations"]) == sorted(made)
    assert second["next_cursor"] is None


@pytest.mark.parametrize(("query", "param"), [("limit=0", "limit"), ("limit=x", "limit"), ("cursor=zz", "cursor")])
async def test_a_listing_that_cannot_be_is_refused_by_field(query: str, param: str) -> None:
    answer = await ask(Pod(FakeProvider()).app, get(f"{BASE}?{query}"))
    assert answer.status == 400
    assert answer.json()["code"] == "invalid_request"
    assert answer.json()["param"] == param


@pytest.mark.feature(11, 34)
async def test_a_message_is_answered_with_its_usage_and_both_are_kept() -> None:
    script = FakeProvider(text("Hel", "lo"), [STOP])
    pod = Pod(script)
    path = await begin(pod)
    answer = await ask(pod.app, post(f"{path}/messages", {"content": "Hi"}))
    assert answer.status == 200
    reply = answer.json()
    assert reply["message"]["content"] == "Hello"
    assert reply["message"]["status"] == "complete"
    assert reply["usage"]["prompt_tokens"] == reply["usage"]["input_tokens"] == 3
    assert reply["cost_usd"] is None
    kept = (await ask(pod.app, get(f"{path}/messages"))).json()["messages"]
    assert [(message["role"], message["content"]) for message in kept] == [("user", "Hi"), ("assistant", "Hello")]
    assert kept[1] == reply["message"]


@pytest.mark.feature(39)
async def test_the_history_is_the_servers() -> None:
    script = FakeProvider(text("Hello"), [STOP])
    pod = Pod(script)
    path = await begin(pod)
    for words in ("one", "two"):
        await ask(pod.app, post(f"{path}/messages", {"message": words, "model": "m", "temperature": 0.5}))
    assert [message.content for message in script.asked[1].messages] == ["one", "Hello", "two"]
    assert script.asked[1].temperature == 0.5


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"content": "Hi", "stream": True}, {}),
        ({"content": "Hi"}, {"accept": "text/event-stream"}),
        ({"content": "Hi", "stream": True}, {"accept": "application/json"}),
    ],
)
async def test_a_stream_is_asked_for_by_flag_or_by_header_and_the_flag_decides(
    body: dict[str, Any], headers: dict[str, str]
) -> None:
    pod = Pod(FakeProvider(text("Hello"), [STOP]))
    answer = await ask(pod.app, post(f"{await begin(pod)}/messages", body, **headers))
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [line for line in answer.body.decode().split("\n") if line.startswith("event: ")]
    assert events == ["event: start", "event: token", "event: complete"]


async def test_the_flag_can_refuse_a_stream() -> None:
    pod = Pod(FakeProvider(text("Hello"), [STOP]))
    asked = post(f"{await begin(pod)}/messages", {"content": "Hi", "stream": False}, accept="text/event-stream")
    assert (await ask(pod.app, asked)).headers["content-type"] == "application/json"


async def test_a_stream_begins_before_the_first_token_so_that_it_can_be_resumed() -> None:
    pod = Pod(FakeProvider(60.0, [STOP]))
    asked = post(f"{await begin(pod)}/messages", {"content": "Hi", "stream": True})
    async with asking(pod.app, asked):
        await asked.until(b"event: start")
        assert asyncio.get_running_loop().time() < 1


async def test_a_failure_is_the_streams_last_event_with_what_to_do() -> None:
    pod = Pod(FakeProvider(ChatError(Code.UPSTREAM_OVERLOADED)))
    answer = await ask(pod.app, post(f"{await begin(pod)}/messages", {"content": "Hi", "stream": True}))
    last = answer.body.decode().rstrip("\n").split("\n\n")[-1]
    assert "event: error" in last
    assert f'"request_id":"{answer.headers["x-request-id"]}"' in last
    assert '"code":"upstream_overloaded"' in last


async def test_a_failure_without_streaming_is_an_http_status() -> None:
    pod = Pod(FakeProvider(text("Hel"), ChatError(Code.UPSTREAM_TRUNCATED)))
    answer = await ask(pod.app, post(f"{await begin(pod)}/messages", {"content": "Hi"}))
    assert answer.status == 502
    assert answer.json()["code"] == "upstream_truncated"


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_goes_on_when_its_client_leaves(*, stream: bool) -> None:
    pod = Pod(FakeProvider(text("Hel"), 5.0, text("lo"), [STOP]))
    path = await begin(pod)
    asked = post(f"{path}/messages", {"content": "Hi", "stream": stream})
    async with asking(pod.app, asked) as answering:
        await asyncio.sleep(1)
        asked.left.set()
        await answering
    assert pod.pool.admission.active == 1
    await asyncio.sleep(5)
    kept = (await ask(pod.app, get(f"{path}/messages"))).json()["messages"]
    assert (kept[1]["content"], kept[1]["status"]) == ("Hello", "complete")


async def test_a_conversation_writes_one_answer_at_a_time() -> None:
    pod = Pod(FakeProvider(60.0, [STOP]))
    path = await begin(pod)
    async with asking(pod.app, post(f"{path}/messages", {"content": "Hi", "stream": True})):
        await asyncio.sleep(1)
        busy = await ask(pod.app, post(f"{path}/messages", {"content": "And?"}))
    assert busy.status == 409
    assert busy.json()["code"] == "conversation_busy"
    assert busy.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    "path", [NOBODY, f"{BASE}/x", f"{BASE}/{{a}}:b", f"{BASE}/00000000-0000-7000-8000-99999999999%0A"]
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_conversation_that_is_not_there_is_told(method: str, path: str) -> None:
    answer = await ask(Pod(FakeProvider()).app, Exchange(method, path))
    assert answer.status == 404
    assert answer.json()["code"] == "conversation_not_found"


def test_no_other_text_than_an_id_reaches_the_store() -> None:
    for given in ("", "x", "{a}", "00000000-0000-7000-8000-999999999999\n", "00000000-0000-7000-8000-99999999999G"):
        with pytest.raises(ChatError):
            known_id(given)


async def test_no_message_can_be_sent_to_a_conversation_that_is_not_there() -> None:
    answer = await ask(Pod(FakeProvider()).app, post(f"{NOBODY}/messages", {"content": "Hi"}))
    assert answer.json()["code"] == "conversation_not_found"


async def test_a_body_that_is_not_declared_as_json_is_refused() -> None:
    pod = Pod(FakeProvider())
    for path in (BASE, f"{await begin(pod)}/messages"):
        assert (await ask(pod.app, Exchange("POST", path, body=b"{}"))).status == 415


async def test_a_stream_that_does_not_wait_for_its_first_token_still_begins_with_its_head() -> None:
    pod = Pod(FakeProvider(1.0, text("a"), 1.0, [STOP]))
    asked = post(await begin(pod) + "/messages", {"content": "Hi", "stream": True})
    at_once: list[bytes] = []

    def write(frames: bytes) -> bool:
        at_once.append(frames)
        return True

    asked.scope["extensions"] = {WRITE: {"call": write}}
    await ask(pod.app, asked)
    assert b"event: start" in asked.sent[1]["body"]
    assert [b"event: token" in frames for frames in at_once] == [True]
