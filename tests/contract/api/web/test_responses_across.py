"""Responses by upstreams that speak chat completions or Anthropic's messages: tools go there and their calls come back.

The upstream checks what it gets by its vendor's rules.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model
from harness.clients.asgi import Exchange, ask, get, post
from harness.pods.api_pod import Pod
from harness.upstream.catalogue import catalogue_of, config_of, provider_of
from harness.upstream.fake import FakeUpstream, Handler, Reply, fake_upstream, playing
from harness.upstream.wires import AnthropicWire, Wire, event, whole, wire_of

PATH = "/v1/responses"
ANTHROPIC = wire_of(ProviderType.ANTHROPIC)
CHAT_WIRES = [
    wire_of(kind) for kind in (ProviderType.OPENAI, ProviderType.AZURE_OPENAI, ProviderType.OPENAI_COMPATIBLE)
]
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
ADD: dict[str, Any] = {"type": "function", "name": "add", "parameters": SCHEMA, "description": "Adds.", "strict": True}
SUBTRACT = {"type": "function", "name": "subtract", "parameters": SCHEMA}
LARK = {"syntax": "lark", "definition": "start: /a+/"}
RUN: dict[str, Any] = {"type": "custom", "name": "run", "format": {"type": "grammar", **LARK}}
ALLOWED = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "add"}]}


@dataclass
class Asked:
    """A pod with one model at an upstream."""

    pod: Pod
    upstream: FakeUpstream

    async def post(self, **fields: Any) -> Exchange:  # noqa: ANN401  # any JSON
        return await ask(self.pod.app, post(PATH, {"model": "m", "input": "Hi", **fields}))

    @property
    def received(self) -> Any:  # noqa: ANN401  # any JSON
        return self.upstream.requests[-1].json


@asynccontextmanager
async def asked(wire: Wire, script: Handler, model: str = "gpt-x") -> AsyncIterator[Asked]:
    async with fake_upstream(script) as upstream:
        entry = Model.model_validate({"name": "default", "provider": "up", "model": model})
        async with catalogue_of(config_of(provider_of(wire, upstream.url), models=[entry])) as catalogue:
            yield Asked(Pod(catalogue.provider("default")), upstream)


def chat_chunks(*calls: dict[str, Any]) -> list[bytes]:
    """Return a chat completion that calls tools."""
    deltas = [{"tool_calls": [{"index": index, **call}]} for index, call in enumerate(calls)]
    choices: list[dict[str, Any]] = [{"delta": delta} for delta in deltas]
    choices.append({"delta": {}, "finish_reason": "tool_calls"})
    usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}
    return [*(event({"choices": [{"index": 0, **choice}]}) for choice in choices), event(usage), b"data: [DONE]\n\n"]


def anthropic_events(wire: Wire, name: str, arguments: str, index: int = 0) -> list[bytes]:
    """Return a message that calls a tool."""
    block = {"type": "tool_use", "id": "c1", "name": name, "input": {}}
    piece = {"type": "input_json_delta", "partial_json": arguments}
    return [
        *wire.begin()[:1],
        event({"type": "content_block_start", "index": index, "content_block": block}, "content_block_start"),
        event({"type": "content_block_delta", "index": index, "delta": piece}, "content_block_delta"),
        event({"type": "content_block_stop", "index": index}, "content_block_stop"),
        event(
            {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 4}},
            "message_delta",
        ),
        event({"type": "message_stop"}, "message_stop"),
    ]


def calling(wire: Wire, *, custom: bool = False) -> Handler:
    """Return an upstream that calls a tool first, and then answers with words."""
    function = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}
    run = {"id": "c2", "type": "custom", "custom": {"name": "run", "input": "aa"}}
    turns = iter(
        [
            anthropic_events(wire, "add", '{"a":1}')
            if isinstance(wire, AnthropicWire)
            else chat_chunks(function, *([run] if custom else [])),
        ]
    )

    async def script(reply: Reply) -> None:
        await reply.head()
        await reply.send(*next(turns, whole(wire)))
        await reply.end()

    return script


@pytest.mark.parametrize("wire", [*CHAT_WIRES, ANTHROPIC], ids=lambda wire: wire.type)
async def test_a_call_and_its_result_cross_over(wire: Wire) -> None:
    async with asked(wire, calling(wire)) as up:
        first = (await up.post(tools=[ADD, SUBTRACT], tool_choice=ALLOWED, parallel_tool_calls=False)).json()
        (call,) = first["output"]
        assert (call["type"], call["call_id"], call["name"], call["arguments"]) == (
            *("function_call", "c1", "add"),
            '{"a":1}',
        )
        names = [tool.get("function", tool)["name"] for tool in up.received["tools"]]
        if isinstance(wire, AnthropicWire):
            assert names == ["add"]
            assert up.received["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
        else:
            assert names == ["add", "subtract"]
            assert up.received["tools"][0]["function"] == {name: ADD[name] for name in ADD if name != "type"}
            choice = {"mode": "required", "tools": [{"type": "function", "function": {"name": "add"}}]}
            assert up.received["tool_choice"] == {"type": "allowed_tools", "allowed_tools": choice}
            assert up.received["parallel_tool_calls"] is False
        result = {"type": "function_call_output", "call_id": "c1", "output": "4"}
        second = (await up.post(input=[result], tools=[ADD], previous_response_id=first["id"])).json()
        assert second["status"] == "completed"
        _, answered, told = up.received["messages"]
        if isinstance(wire, AnthropicWire):
            assert answered["content"] == [{"type": "tool_use", "id": "c1", "name": "add", "input": {"a": 1}}]
            assert told["content"] == [
                {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "4"}]}
            ]
        else:
            assert answered["tool_calls"][0]["function"] == {"name": "add", "arguments": '{"a":1}'}
            assert told == {"role": "tool", "content": "4", "tool_call_id": "c1"}


@pytest.mark.parametrize("wire", CHAT_WIRES, ids=lambda wire: wire.type)
async def test_a_custom_tool_with_a_grammar_reaches_an_upstream_that_has_them(wire: Wire) -> None:
    async with asked(wire, calling(wire, custom=True)) as up:
        first = (await up.post(tools=[ADD, RUN])).json()
        grammar = {"type": "grammar", "grammar": LARK}
        assert up.received["tools"][1] == {"type": "custom", "custom": {"name": "run", "format": grammar}}
        _, call = first["output"]
        assert (call["type"], call["call_id"], call["input"]) == ("custom_tool_call", "c2", "aa")
        results = [
            {"type": "function_call_output", "call_id": "c1", "output": "4"},
            {"type": "custom_tool_call_output", "call_id": "c2", "output": "b"},
        ]
        second = (await up.post(input=results, tools=[ADD, RUN], previous_response_id=first["id"])).json()
        assert second["status"] == "completed"
        assert up.received["messages"][1]["tool_calls"][1] == {
            "type": "custom",
            "id": "c2",
            "custom": {"name": "run", "input": "aa"},
        }


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [RUN]}, "tools[0]"),
        ({"tool_choice": {"type": "custom", "name": "run"}}, "tool_choice"),
        ({"input": [{"type": "custom_tool_call", "call_id": "c", "name": "run", "input": ""}]}, "input[0]"),
        ({"tools": [{"type": "computer"}]}, "tools[0]"),
    ],
)
async def test_anthropic_refuses_by_name_what_it_has_no_counterpart_for(fields: dict[str, Any], param: str) -> None:
    async with asked(ANTHROPIC, calling(ANTHROPIC)) as up:
        refused = await up.post(**fields)
        assert refused.status == 400
        assert refused.json()["error"]["param"] == param
        assert not up.upstream.requests


SEALED: dict[str, Any] = {
    "include": ["reasoning.encrypted_content"],
    "reasoning": {"effort": "high", "summary": "auto"},
}


def anthropic_thoughts(wire: Wire) -> list[bytes]:
    """Return a message with a signed thought, one that is redacted, and a call of a tool."""

    def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[bytes]:
        begin = {"type": "content_block_start", "index": index, "content_block": start}
        pieces = [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        return [
            event(each, str(each["type"])) for each in (begin, *pieces, {"type": "content_block_stop", "index": index})
        ]

    return [
        *wire.begin()[:1],
        *block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": "Hm, "},
            {"type": "thinking_delta", "thinking": "so."},
            {"type": "signature_delta", "signature": "s+/=="},
        ),
        *block(1, {"type": "redacted_thinking", "data": "xyz"}),
        *anthropic_events(wire, "add", "{}", 2)[1:],
    ]


def chat_thoughts() -> list[bytes]:
    """Return a chat completion with reasoning and a call of a tool."""
    thought = event({"choices": [{"index": 0, "delta": {"reasoning_content": "Hm, so."}}]})
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    return [thought, *chat_chunks(call)]


def thinking(wire: Wire) -> Handler:
    thoughts = anthropic_thoughts(wire) if isinstance(wire, AnthropicWire) else chat_thoughts()
    turns = iter([thoughts])

    async def script(reply: Reply) -> None:
        await reply.head()
        await reply.send(*next(turns, whole(wire)))
        await reply.end()

    return script


@pytest.mark.parametrize("stored", [True, False], ids=["stored", "sent back"])
@pytest.mark.parametrize("wire", [*CHAT_WIRES, ANTHROPIC], ids=lambda wire: wire.type)
async def test_a_vendor_gets_its_own_reasoning_back_as_it_was(wire: Wire, *, stored: bool) -> None:
    async with asked(wire, thinking(wire)) as up:
        first = (await up.post(tools=[ADD], store=stored, **SEALED)).json()
        reasoning, _ = first["output"]
        assert reasoning["summary"] == [{"type": "summary_text", "text": "Hm, so."}]
        result = {"type": "function_call_output", "call_id": "c1", "output": "4"}
        if stored:
            fields: dict[str, Any] = {"previous_response_id": first["id"], "input": [result]}
        else:
            fields = {"store": False, "input": [{"role": "user", "content": "Hi"}, *first["output"], result]}
        second = (await up.post(tools=[ADD], **fields)).json()
        assert second["status"] == "completed"
        answered = up.received["messages"][1]
        if isinstance(wire, AnthropicWire):
            assert up.upstream.requests[0].json["thinking"] == {"type": "adaptive", "display": "summarized"}
            assert answered["content"][:2] == [
                {"type": "thinking", "thinking": "Hm, so.", "signature": "s+/=="},
                {"type": "redacted_thinking", "data": "xyz"},
            ]
        else:
            assert up.upstream.requests[0].json["reasoning_effort"] == "high"
            is_compatible = wire.type is ProviderType.OPENAI_COMPATIBLE
            assert answered.get("reasoning_content") == ("Hm, so." if is_compatible else None)
            assert "thoughts" not in answered


@pytest.mark.parametrize("other", [*CHAT_WIRES, ANTHROPIC], ids=lambda wire: wire.type)
async def test_another_vendor_or_model_gets_no_signature(other: Wire) -> None:
    async with asked(ANTHROPIC, thinking(ANTHROPIC)) as up:
        first = (await up.post(tools=[ADD], store=False, **SEALED)).json()
    result = {"type": "function_call_output", "call_id": "c1", "output": "4"}
    sent = [{"role": "user", "content": "Hi"}, *first["output"], result]
    async with asked(other, calling(other), model="of-another") as up:
        assert (await up.post(input=sent, tools=[ADD])).status == 200
        assert b"s+/==" not in up.upstream.requests[-1].body
        assert b"xyz" not in up.upstream.requests[-1].body


async def test_what_both_apis_of_openai_have_reaches_a_chat_completion() -> None:
    same = {"service_tier": "flex", "prompt_cache_key": "k", "safety_identifier": "s"}
    asked_for: dict[str, Any] = {"text": {"verbosity": "low"}, "truncation": "auto", **same}
    async with asked(CHAT_WIRES[0], calling(CHAT_WIRES[0])) as up:
        shown = (await up.post(**asked_for)).json()
        assert {name: up.received[name] for name in (*same, "verbosity")} == same | {"verbosity": "low"}
        assert "truncation" not in up.received
        assert {name: shown[name] for name in (*same, "truncation")} == same | {"truncation": "auto"}
        assert shown["text"]["verbosity"] == "low"
    async with asked(CHAT_WIRES[2], calling(CHAT_WIRES[2])) as up:
        await up.post(**asked_for)
        assert up.received.keys() & asked_for.keys() == {"service_tier"}
    async with asked(ANTHROPIC, calling(ANTHROPIC)) as up:
        for name in ("text", "service_tier"):
            refused = await up.post(**{name: asked_for[name]})
            assert (refused.status, refused.json()["error"]["param"].split(".")[0]) == (400, name)


def probability(token: str) -> dict[str, Any]:
    other = {"token": "?", "logprob": -2.5, "bytes": [63]}
    return {"token": token, "logprob": -0.25, "bytes": list(token.encode()), "top_logprobs": [other]}


WANTED: dict[str, Any] = {"include": ["message.output_text.logprobs"], "top_logprobs": 1}
TOKENS = ("Hel", "lo", " you")
PROBABLE = [probability(token) for token in TOKENS]


def probable_chunks() -> list[bytes]:
    """Return a chat completion with log probabilities, two tokens in its first chunk."""
    texts = (("Hello", PROBABLE[:2]), (" you", PROBABLE[2:]))
    choices: list[dict[str, Any]] = [{"delta": {"role": "assistant", "content": ""}, "logprobs": None}]
    choices += [{"delta": {"content": text}, "logprobs": {"content": found, "refusal": None}} for text, found in texts]
    choices.append({"delta": {}, "finish_reason": "stop", "logprobs": None})
    return [*(event({"choices": [{"index": 0, **choice}]}) for choice in choices), b"data: [DONE]\n\n"]


def data_of(exchange: Exchange) -> list[dict[str, Any]]:
    lines = exchange.body.decode().splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]


@pytest.mark.parametrize("wire", CHAT_WIRES, ids=lambda wire: wire.type)
async def test_log_probabilities_of_chat_completions_stand_beside_their_text(wire: Wire) -> None:
    async with asked(wire, playing(*probable_chunks(), "end")) as up:
        streamed = data_of(await up.post(stream=True, **WANTED))
        assert (up.received["logprobs"], up.received["top_logprobs"]) == (True, 1)
        pieces = [(each["delta"], each["logprobs"]) for each in streamed if each["type"].endswith("text.delta")]
        assert pieces == [("Hello", PROBABLE[:2]), (" you", PROBABLE[2:])]
        done = next(each for each in streamed if each["type"].endswith("text.done"))
        assert (done["text"], done["logprobs"]) == ("Hello you", PROBABLE)
        answer = (await up.post(**WANTED)).json()
        (part,) = answer["output"][0]["content"]
        assert (part["text"], part["logprobs"], answer["top_logprobs"]) == ("Hello you", PROBABLE, 1)
        assert (await ask(up.pod.app, get(f"{PATH}/{answer['id']}"))).json() == answer
        await up.post(input="And?", previous_response_id=answer["id"])
        assert [each["content"] for each in up.received["messages"]] == ["Hi", "Hello you", "And?"]
        assert not up.received.keys() & {"logprobs", "top_logprobs"}


async def test_log_probabilities_come_with_an_answer_in_one_document() -> None:
    message = {"role": "assistant", "content": "Hello you"}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": {"content": PROBABLE}}
    document = json.dumps({"id": "c", "object": "chat.completion", "choices": [choice]}).encode()

    async def script(reply: Reply) -> None:
        await reply.head(200, "application/json")
        await reply.send(document)
        await reply.end()

    async with asked(CHAT_WIRES[0], script) as up:
        (part,) = (await up.post(**WANTED)).json()["output"][0]["content"]
        assert (part["text"], part["logprobs"]) == ("Hello you", PROBABLE)


@pytest.mark.parametrize(("name", "param"), [("include", "include[0]"), ("top_logprobs", "top_logprobs")])
async def test_log_probabilities_that_an_upstream_does_not_have_are_refused_by_name(name: str, param: str) -> None:
    async with asked(ANTHROPIC, playing(*whole(ANTHROPIC), "end")) as up:
        refused = await up.post(**{name: WANTED[name]})
        assert (refused.status, refused.json()["error"]["param"]) == (400, param)
