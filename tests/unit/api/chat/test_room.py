"""`conversations.maxMessages`: a message for which there is no room is refused, whichever API sends it."""

from typing import Any, Final

import pytest

from chatfleet_api.web.sse import HEARTBEAT
from harness.clients.asgi import Exchange, ask, asking, get, post
from harness.pods.api_pod import Pod
from harness.pods.runs import STOP, FakeProvider, text

pytestmark = pytest.mark.looptime

BASE: Final = "/api/v1/conversations"
EXPORT: Final = "chatfleet.conversation.v1"
SAID: Final = {"role": "user", "content": "Hi", "created_at": "2026-01-01T00:00:00Z"}
ITEM: Final = {"type": "message", "role": "user", "content": "Hi"}


async def begin(pod: Pod) -> str:
    return str((await ask(pod.app, post(BASE, {}))).json()["id"])


async def send(pod: Pod, conversation: str, **fields: Any) -> Exchange:  # noqa: ANN401  # any JSON
    headers = {"idempotency-key": str(fields.pop("key"))} if "key" in fields else {}
    return await ask(pod.app, post(f"{BASE}/{conversation}/messages", {"content": "Hi"} | fields, **headers))


def limited(most: int | None, *script: Any) -> tuple[Pod, FakeProvider]:  # noqa: ANN401  # of a script
    provider = FakeProvider(*(script or (text("a"), [STOP])))
    pod = Pod(provider)
    pod.change("conversations", max_messages=most)
    return pod, provider


def refused(answer: Exchange) -> bool:
    body = answer.json()
    error = body.get("error", body)
    return answer.status == 400 and error["code"] == "conversation_full" and "maxMessages" in error["message"]


async def test_a_message_beyond_the_limit_is_refused_and_a_higher_limit_applies_at_once() -> None:
    pod, provider = limited(5)
    conversation = await begin(pod)
    assert [(await send(pod, conversation)).status for _ in range(2)] == [200, 200]
    full = await send(pod, conversation)
    assert refused(full)
    assert full.json()["message"].startswith("The conversation would have 6 messages; conversations.maxMessages allows")
    assert full.json()["suggested_action"] == "Start a new conversation."
    assert not full.json()["retryable"]
    assert len(provider.asked) == 2
    pod.change("conversations", max_messages=6)
    assert (await send(pod, conversation)).status == 200
    assert len((await ask(pod.app, get(f"{BASE}/{conversation}/messages"))).json()["messages"]) == 6
    pod.change("conversations", max_messages=None)
    assert (await send(pod, conversation)).status == 200


async def test_the_limit_holds_for_items_responses_and_imports_of_conversations() -> None:
    pod, provider = limited(2)
    conversation = "conv_" + await begin(pod)
    items = f"/v1/conversations/{conversation}/items"
    assert (await ask(pod.app, post(items, {"items": [ITEM]}))).status == 200
    assert refused(await ask(pod.app, post(items, {"items": [ITEM] * 2})))
    response = {"model": "m", "input": "Hi", "conversation": conversation}
    assert refused(await ask(pod.app, post("/v1/responses", response)))
    assert refused(await ask(pod.app, post("/v1/conversations", {"items": [ITEM] * 3})))
    assert refused(await ask(pod.app, post(f"{BASE}/import", {"format": EXPORT, "messages": [SAID] * 3})))
    assert (await ask(pod.app, post(f"{BASE}/import", {"format": EXPORT, "messages": [SAID] * 2}))).status == 201
    history = [{"role": "user", "content": "Hi"}] * 3
    for headers in ({}, {"idempotency-key": "once"}):
        chat = post("/api/chat/stream", {"message": "Hi", "history": history}, **headers)
        assert (await ask(pod.app, chat)).status == 400
    assert provider.asked == []


async def test_the_limit_does_not_hold_for_a_chain_of_responses() -> None:
    pod, _ = limited(2)
    first = (await ask(pod.app, post("/v1/responses", {"model": "m", "input": "Hi"}))).json()
    follow = {"model": "m", "input": "Hi", "previous_response_id": first["id"]}
    assert (await ask(pod.app, post("/v1/responses", follow))).status == 200


async def test_a_full_conversation_replays_and_interrupts_nothing() -> None:
    pod, _ = limited(3, text("a"), 60.0, [STOP])
    conversation = await begin(pod)
    first = post(f"{BASE}/{conversation}/messages", {"content": "Hi", "stream": True}, **{"idempotency-key": "k"})
    async with asking(pod.app, first) as answering:
        await first.until(b"event: token")
        for on_busy in ("reject", "enqueue", "interrupt"):
            assert refused(await send(pod, conversation, on_busy=on_busy))
        await answering
    assert b"event: complete" in first.body
    replayed = await send(pod, conversation, stream=True, key="k")
    assert replayed.body == first.body.replace(HEARTBEAT, b"")
