"""Decisions about calls that wait, as requests: their form, and that one which is refused leaves the calls waiting."""

from typing import Any

import pytest
from msgspec.structs import replace

from chatfleet_api.domain.events import RequiresAction, ServerToolCall
from chatfleet_api.domain.principal import ANONYMOUS
from chatfleet_api.sessions.store import Append, PlacedToolEvent, StoredMessage
from chatfleet_contract.spec.limits import Limit
from harness.clients.asgi import Exchange, ask, get, post
from harness.pods.api_pod import Pod
from harness.pods.runs import STOP, FakeProvider, text

pytestmark = pytest.mark.looptime

BASE = "/api/v1/conversations"
NOW = "2026-01-02T00:00:00.000+00:00"
CALL = ServerToolCall(1, "c1", "t__create", "t", "create", '{"a": 1}', approval="mcpar_x_1")
PAUSED = StoredMessage(
    "p",
    "assistant",
    "",
    NOW,
    run="r",
    model="m",
    finish_reason="requires_action",
    server_tools=[PlacedToolEvent(0, RequiresAction((CALL,)))],
)
YES = {"approval_request_id": "mcpar_x_1", "approve": True}


async def waiting(pod: Pod, paused: StoredMessage = PAUSED) -> str:
    """Return the path of a conversation whose answer waits."""
    made = (await ask(pod.app, post(BASE, {}))).json()["id"]
    question = StoredMessage(pod.chat.ports.new_id(), "user", "Hi", NOW)
    for message in (question, replace(paused, id=pod.chat.ports.new_id())):
        append = Append((message,), now=NOW, expected_version=None)
        await pod.chat.ports.sessions.append(ANONYMOUS.tenant, made, append)
    return f"{BASE}/{made}"


async def decide(pod: Pod, path: str, **body: object) -> Exchange:
    return await ask(pod.app, post(f"{path}/approvals", {"approvals": [YES], **body}))


async def waits(pod: Pod, path: str) -> bool:
    shown: list[dict[str, Any]] = (await ask(pod.app, get(path))).json()["messages"]
    return any("requires_action" in message for message in shown)


async def test_calls_are_shown_until_they_are_decided() -> None:
    pod = Pod(FakeProvider(text("Done."), [STOP]))
    path = await waiting(pod)
    (message,) = [each for each in (await ask(pod.app, get(path))).json()["messages"] if "requires_action" in each]
    assert message["requires_action"] == [
        {"approval_request_id": "mcpar_x_1", "server": "t", "tool": "create", "arguments": '{"a": 1}'}
    ]
    streamed = await decide(pod, path, stream=True)
    assert b"event: complete" in streamed.body
    assert not await waits(pod, path)


async def test_a_decision_that_a_limit_refuses_can_be_sent_again() -> None:
    pod = Pod(FakeProvider(text("Done."), [STOP]))
    path, other = await waiting(pod), await waiting(pod)
    pod.change("limits", per_tenant=Limit(requests_per_minute=1))
    assert (await decide(pod, other)).status == 200
    refused = await decide(pod, path)
    assert (refused.status, refused.json()["code"], await waits(pod, path)) == (429, "limit_exceeded", True)
    pod.change("limits", per_tenant=None)
    assert (await decide(pod, path)).status == 200


async def test_a_full_conversation_and_a_model_that_has_left_leave_the_calls_waiting() -> None:
    pod = Pod(FakeProvider(text("Done."), [STOP]))
    path, gone = await waiting(pod), await waiting(pod, replace(PAUSED, model="gone"))
    pod.change("conversations", max_messages=3)
    full, unknown = await decide(pod, path), await decide(pod, gone)
    assert (full.status, full.json()["code"]) == (400, "conversation_full")
    pod.change("conversations", max_messages=None)
    unknown = await decide(pod, gone)
    assert (unknown.status, unknown.json()["code"]) == (404, "model_not_found")
    assert [await waits(pod, each) for each in (path, gone)] == [True, True]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"approvals": []}, "approvals"),
        ({"approvals": [{"approve": True}]}, "approvals[0].approval_request_id"),
        ({"approvals": [{**YES, "approve": "yes"}]}, "approvals[0].approve"),
        ({"approvals": [{**YES, "reason": "x" * 2_001}]}, "approvals[0].reason"),
        ({"colour": 1}, "colour"),
    ],
)
async def test_a_body_of_another_form_is_refused_by_its_field(body: dict[str, Any], param: str) -> None:
    pod = Pod(FakeProvider())
    path = await waiting(pod)
    refused = await decide(pod, path, **body)
    assert refused.status == 400
    assert refused.json()["param"].replace("[...]", "[0]") == param
    assert await waits(pod, path)
