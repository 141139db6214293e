"""Ids that are made for tool calls without one come back from clients in any conversation, and go to any vendor."""

import itertools
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from chatfleet_api.domain.events import ToolCall
from chatfleet_api.domain.request import ChatRequest, Function, Message, MessageToolCall
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model
from harness.upstream.catalogue import ask, catalogue_of, config_of, provider_of
from harness.upstream.fake import Handler, Reply, fake_upstream
from harness.upstream.vendor_rules import anthropic_refusal, openai_refusal
from harness.upstream.wires import AnthropicWire, Wire, answering, event, wire_of

TOOL: dict[str, Any] = {"type": "function", "function": {"name": "get", "parameters": {"type": "object"}}}
VENDORS = (ProviderType.OPENAI_COMPATIBLE, ProviderType.ANTHROPIC)
CALLS = 2
KEPT = 11
"""Messages that the client sends: two turns with their calls, and the next question. Always as many, after a while."""


def calls_without_ids(wire: Wire) -> list[bytes]:
    if isinstance(wire, AnthropicWire):
        blocks = [
            event(
                {"type": "content_block_start", "index": number, "content_block": {"type": "tool_use", "name": "get"}}
            )
            for number in range(CALLS)
        ]
        end = event({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 4}})
        return [wire.begin()[0], *blocks, end, wire.finish()[-1]]
    calls = [{"index": number, "function": {"name": "get", "arguments": "{}"}} for number in range(CALLS)]
    chunks: list[dict[str, Any]] = [
        {"choices": [{"delta": {"tool_calls": calls}}]},
        {"choices": [{"delta": {}, "finish_reason": "stop"}]},
    ]
    return [*(event(chunk) for chunk in chunks), b"data: [DONE]\n\n"]


def strict(wire: Wire) -> Handler:
    """Return the script of an upstream that refuses what its vendor refuses, and calls tools before it answers."""
    refusal = anthropic_refusal if isinstance(wire, AnthropicWire) else openai_refusal

    async def script(reply: Reply) -> None:
        if wrong := refusal(reply.request.json):
            await reply.head(400, "application/json")
            await reply.send(msgspec.json.encode({"error": {"message": wrong}}))
            await reply.end()
        elif is_answered(reply.request.json):
            await answering(wire, ("Well.",))(reply)
        else:
            await reply.head()
            await reply.send(*calls_without_ids(wire))
            await reply.end()

    return script


def is_answered(body: dict[str, Any]) -> bool:
    last = body["messages"][-1]
    return last["role"] == "tool" or b'"tool_result"' in msgspec.json.encode(last)


def ids_in(body: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return the ids of the calls and of the results in a request, in either vendor's terms."""
    contents = [message.get("content") for message in body["messages"]]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    calls = [call["id"] for message in body["messages"] for call in message.get("tool_calls") or ()]
    results = [message["tool_call_id"] for message in body["messages"] if "tool_call_id" in message]
    calls += [part["id"] for part in parts if part.get("type") == "tool_use"]
    return calls, results + [part["tool_use_id"] for part in parts if part.get("type") == "tool_result"]


def turn(calls: list[ToolCall]) -> Iterator[Message]:
    """Yield what a client adds for these calls: the answer, and the result of each."""
    yield Message(
        "assistant", tool_calls=[MessageToolCall(call.id or "", Function(call.name or "", "{}")) for call in calls]
    )
    yield from (Message("tool", "It is sunny.", tool_call_id=call.id) for call in calls)


@pytest.mark.parametrize(("first", "second"), list(itertools.product(VENDORS, VENDORS)))
async def test_made_ids_occur_once_and_come_back_through_both_vendors(
    first: ProviderType, second: ProviderType
) -> None:
    wires = wire_of(first), wire_of(second)
    made: list[str] = []
    messages: list[Message] = []
    async with fake_upstream(strict(wires[0])) as upstream, fake_upstream(strict(wires[1])) as other:
        providers = provider_of(wires[0], upstream.url, name="a"), provider_of(wires[1], other.url, name="b")
        models = [Model(name="calls", provider="a", model="x"), Model(name="answers", provider="b", model="y")]
        async with catalogue_of(config_of(*providers, models=models)) as catalogue:
            for _ in range(5):
                messages = [*messages, Message("user", "And now?")][-KEPT:]
                outcome = await ask(catalogue.provider("calls"), ChatRequest("calls", tuple(messages), tools=(TOOL,)))
                calls = [piece for piece in outcome.pieces if isinstance(piece, ToolCall) and piece.id]
                assert (outcome.error, len(calls)) == (None, CALLS)
                made += [call.id for call in calls if call.id]
                messages += turn(calls)
                request = ChatRequest("answers", tuple(messages), tools=(TOOL,))
                outcome = await ask(catalogue.provider("answers"), request)
                assert (outcome.error, outcome.text) == (None, "Well.")
                sent = [call.id for message in messages for call in message.tool_calls or ()]
                assert ids_in(other.requests[-1].json) == (sent, sent)
                messages.append(Message("assistant", outcome.text))
    assert len(set(made)) == len(made)


@pytest.mark.parametrize("vendor", VENDORS)
async def test_the_same_request_gets_the_same_ids_on_another_pod(vendor: ProviderType) -> None:
    """A run that is taken over before anything was visible is requested again, and its log has one set of ids."""
    wire = wire_of(vendor)
    request = ChatRequest("default", (Message("user", "And now?"),), tools=(TOOL,))
    seen = []
    async with fake_upstream(strict(wire)) as upstream:
        for _ in range(2):
            async with catalogue_of(config_of(provider_of(wire, upstream.url))) as catalogue:
                seen.append((await ask(catalogue.provider("default"), request)).pieces)
    assert seen[0] == seen[1]
