"""A conversation that one model began goes on with any other, chosen by the client or as a fallback."""

import base64
import itertools
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest

from chatfleet_api.domain.events import Token, ToolCall
from chatfleet_api.domain.request import (
    AnyToolCall,
    ChatRequest,
    ContentPart,
    Function,
    ImagePart,
    ImageURL,
    Message,
    MessageToolCall,
    TextPart,
)
from chatfleet_api.providers.catalogue import Catalogue
from chatfleet_api.providers.provider import AnswerItem
from chatfleet_contract.runtime import RuntimeProvider
from chatfleet_contract.spec.provider_types import PROVIDER_TYPES, ProviderType
from chatfleet_contract.spec.providers import Model, Retries
from harness.upstream.catalogue import Outcome, ask, catalogue_of, config_of, provider_of
from harness.upstream.event_stream import event_frame
from harness.upstream.fake import Handler, Reply, fake_upstream
from harness.upstream.vendor_rules import IMAGES, anthropic_refusal, bedrock_refusal, openai_refusal
from harness.upstream.wires import AnthropicWire, BedrockWire, Wire, event, wire_of

TURNS = 10
BROKEN = "count-0:upstream_overloaded"
"""A model that is always overloaded: a script, and a name that the scripts of upstreams know."""
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "get", "parameters": {"type": "object"}}}
JPEG = base64.b64encode(IMAGES["image/jpeg"] + b"1").decode()
PNG = base64.b64encode(IMAGES["image/png"] + b"1").decode()
URLS = (
    f"data:image/jpg;base64,{JPEG}",
    f"data:IMAGE/PNG;charset=utf-8;base64,{PNG}",
    f"data:image/png;base64,{JPEG}",
    "https://example.com/a.png",
)
IDS = {ProviderType.ANTHROPIC: "toolu_{}_{}", ProviderType.OPENAI_COMPATIBLE: "functions.get:{1}"}
"""The second number begins anew with each answer."""


def tool_calls(wire: Wire, answer: int) -> list[bytes]:
    """Return the events of an answer with two tool calls."""
    idents = [IDS.get(wire.type, "call_{}_{}").format(answer, number) for number in range(2)]
    if isinstance(wire, AnthropicWire):
        first, *_ = wire.begin()
        events = [first]
        for number, ident in enumerate(idents):
            block = {"type": "tool_use", "id": ident, "name": "get", "input": {}}
            delta = {"type": "input_json_delta", "partial_json": '{"x":1}'}
            events.append(event({"type": "content_block_start", "index": number, "content_block": block}))
            events.append(event({"type": "content_block_delta", "index": number, "delta": delta}))
            events.append(event({"type": "content_block_stop", "index": number}))
        end = event({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 4}})
        return [*events, end, wire.finish()[-1]]
    if isinstance(wire, BedrockWire):
        return [*wire.begin(), *conversed_calls(idents), wire.finish()[-1]]
    calls = [
        {"index": number, "id": ident, "type": "function", "function": {"name": "get", "arguments": '{"x":1}'}}
        for number, ident in enumerate(idents)
    ]
    deltas: list[tuple[dict[str, Any], str | None]] = [({"tool_calls": calls}, None), ({}, "tool_calls")]
    chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]} for delta, reason in deltas]
    return [*map(event, chunks), b"data: [DONE]\n\n"]


def conversed_calls(idents: Sequence[str]) -> list[bytes]:
    """Return the events of tool calls in Bedrock's stream, and the reason to stop."""
    events = []
    for number, ident in enumerate(idents):
        start = {"toolUse": {"toolUseId": ident, "name": "get"}}
        delta = {"toolUse": {"input": '{"x":1}'}}
        events.append(event_frame("contentBlockStart", {"contentBlockIndex": number, "start": start}))
        events.append(event_frame("contentBlockDelta", {"contentBlockIndex": number, "delta": delta}))
        events.append(event_frame("contentBlockStop", {"contentBlockIndex": number}))
    return [*events, event_frame("messageStop", {"stopReason": "tool_use"})]


def has_result(messages: list[dict[str, Any]]) -> bool:
    """Return whether a conversation ends with results of tools, and perhaps their images."""
    *_, before, last = ({}, *messages)
    encoded = msgspec.json.encode(last)
    return "tool" in (last["role"], before.get("role")) or re.search(b'"tool_?[rR]esult"', encoded) is not None


def strict(wire: Wire) -> Handler:
    """Return the script of an upstream that refuses what its vendor refuses, and calls tools before it answers."""
    answers = itertools.count()
    refusals = {ProviderType.ANTHROPIC: anthropic_refusal, ProviderType.BEDROCK: bedrock_refusal}
    refusal = refusals.get(wire.type, openai_refusal)

    async def script(reply: Reply) -> None:
        body = reply.request.json
        parts = map(unquote, reply.request.path.split("/"))
        overloaded = body.get("model") == BROKEN or BROKEN in parts
        if overloaded or (wrong := refusal(body)):
            await reply.head(529 if overloaded else 400, "application/json")
            await reply.send(msgspec.json.encode({"error": {"message": "Busy." if overloaded else wrong}}))
            await reply.end()
            return
        number = next(answers)
        is_answered = has_result(body["messages"])
        words = ("Well.", " \n")
        events = [*wire.begin(), *map(wire.token, words), *wire.finish()] if is_answered else tool_calls(wire, number)
        await reply.head()
        await reply.send(*events)
        await reply.end()

    return script


@asynccontextmanager
async def catalogue_across(first: ProviderType, second: ProviderType) -> AsyncIterator[Catalogue]:
    """Open a catalogue with a model of each type, and one of the first that falls back to the second."""
    async with AsyncExitStack() as stack:
        providers = []
        for name, kind in (("a", first), ("b", second)):
            if not PROVIDER_TYPES[kind].has_upstream:
                providers.append(RuntimeProvider(name=name, type=kind, retries=Retries(max=0)))
                continue
            wire = wire_of(kind)
            upstream = await stack.enter_async_context(fake_upstream(strict(wire)))
            providers.append(provider_of(wire, upstream.url, name=name))
        models = [
            Model(name="chosen", provider="a", model="echo"),
            Model(name="broken", provider="a", model=BROKEN, fallbacks=["other"]),
            Model(name="other", provider="b", model="echo"),
        ]
        yield await stack.enter_async_context(catalogue_of(config_of(*providers, models=models)))


def answer_of(pieces: Sequence[AnswerItem]) -> Message:
    """Return the answer as a client sends it back."""
    calls: dict[int, MessageToolCall] = {}
    for piece in pieces:
        if isinstance(piece, ToolCall):
            known = calls.get(piece.index, MessageToolCall(piece.id or "", Function(piece.name or "", "")))
            arguments = known.function.arguments + piece.arguments
            calls[piece.index] = MessageToolCall(known.id, Function(known.function.name, arguments))
    text = "".join(piece.text for piece in pieces if isinstance(piece, Token))
    return Message("assistant", text or None, tool_calls=list(calls.values()) or None)


async def talk(catalogue: Catalogue, models: Sequence[str], urls: Sequence[str]) -> AsyncIterator[Outcome]:
    """Yield the answers of the conversation in which each of `models` takes a turn, with images at `urls`."""
    messages = [Message("system", [TextPart("Be brief."), ImagePart(ImageURL(URLS[0]))])]
    for turn, model in enumerate(models):
        picture = ImagePart(ImageURL(urls[turn % len(urls)]))
        contents: list[str | list[ContentPart]] = ["", [picture], [TextPart("Drawn."), picture]]
        results = itertools.cycle(contents)
        messages.append(Message("user", [TextPart("Look."), TextPart(" \n"), picture]))
        calls: list[AnyToolCall] | None = []
        while calls is not None:
            request = ChatRequest(model, tuple(messages), tools=(TOOL,))
            outcome = await ask(catalogue.provider(model), request)
            yield outcome
            messages.append(answer_of(outcome.pieces))
            calls = messages[-1].tool_calls
            messages += [Message("tool", next(results), tool_call_id=call.id) for call in calls or ()]
        messages.append(Message("assistant", [TextPart("Like this?"), picture]))


@pytest.mark.parametrize("later", ["other", "broken"], ids=["chosen", "as a fallback"])
@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(ProviderType, 2)))
async def test_a_conversation_goes_on_with_another_model(first: ProviderType, second: ProviderType, later: str) -> None:
    half = TURNS // 2
    urls = URLS[:-1] if ProviderType.BEDROCK in (first, second) else URLS  # it fetches no images
    async with catalogue_across(first, second) as catalogue:
        outcomes = [outcome async for outcome in talk(catalogue, ["chosen"] * half + [later] * half, urls)]
    assert [outcome.error.detail or outcome.error.message for outcome in outcomes if outcome.error is not None] == []
    asked = {kind: 2 if PROVIDER_TYPES[kind].has_upstream else 1 for kind in (first, second)}
    assert len(outcomes) == half * (asked[first] + asked[second])
