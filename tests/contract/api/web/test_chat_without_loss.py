"""Chat completions to an upstream that speaks them: each field goes there and comes back, streamed and whole."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from chatfleet_api.providers.catalogue import Catalogue
from chatfleet_contract.runtime import RuntimeProvider
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model
from harness.clients.asgi import Exchange, ask, post
from harness.pods.api_pod import Pod
from harness.upstream.catalogue import catalogue_of, config_of, provider_of
from harness.upstream.fake import FakeUpstream, Handler, Reply, fake_upstream
from harness.upstream.wires import AnthropicWire, Wire, event, whole, wire_of

PATH = "/v1/chat/completions"
HI: dict[str, Any] = {"role": "user", "content": "Hi"}
CHAT_WIRES = [
    wire_of(kind) for kind in (ProviderType.OPENAI, ProviderType.AZURE_OPENAI, ProviderType.OPENAI_COMPATIBLE)
]
FUNCTION: dict[str, Any] = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
GRAMMAR = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: /a+/"}}
CUSTOM = {"type": "custom", "custom": {"name": "run", "format": GRAMMAR}}
EXPLICIT = {"mode": "explicit", "ttl": "30m"}

FIELDS: list[tuple[str, Any]] = [
    ("audio", {"voice": "alloy", "format": "pcm16"}),
    ("frequency_penalty", 0.5),
    ("function_call", {"name": "add"}),
    ("functions", [{"name": "add", "parameters": {"type": "object"}}]),
    ("logit_bias", {"50256": -100}),
    ("logprobs", True),
    ("max_completion_tokens", 7),
    ("max_tokens", 7),
    ("metadata", {"team": "a"}),
    ("modalities", ["text", "audio"]),
    ("moderation", {"model": "omni", "policy": {"input": {"mode": "block"}}}),
    ("parallel_tool_calls", False),
    ("prediction", {"type": "content", "content": "Hi"}),
    ("presence_penalty", -0.5),
    ("prompt_cache_key", "k"),
    ("prompt_cache_options", EXPLICIT),
    ("prompt_cache_retention", "24h"),
    ("reasoning_effort", "max"),
    ("reasoning_effort", "of next year"),
    ("response_format", {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}),
    ("response_format", {"type": "grammar", "grammar": "root ::= a"}),
    ("safety_identifier", "s"),
    ("seed", 1),
    ("service_tier", "flex"),
    ("stop", ["A", "B"]),
    ("store", True),
    ("temperature", 0.1),
    ("tool_choice", "required"),
    ("tool_choice", {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [FUNCTION]}}),
    ("tool_choice", {"type": "custom", "custom": {"name": "run"}}),
    ("tools", [FUNCTION | {"defer_loading": True}, CUSTOM]),
    ("top_logprobs", 3),
    ("top_p", 0.9),
    ("user", "u"),
    ("verbosity", "low"),
    ("web_search_options", {"search_context_size": "low"}),
    ("field_of_next_year", {"a": [1, 2.50, None]}),
]
"""Each field of a request, and some that no version of the SDK has."""

MESSAGES: list[dict[str, Any]] = [
    {"role": "developer", "content": [{"type": "text", "text": "Be brief.", "prompt_cache_breakpoint": EXPLICIT}]},
    {
        "role": "user",
        "name": "ann",
        "content": [{"type": "image_url", "image_url": {"url": "data:x", "detail": "low"}}],
    },
    {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]},
    {"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]},
    {"role": "user", "content": [{"type": "of_next_year", "value": 1}]},
    {"role": "function", "name": "add", "content": "4"},
    {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
    {"role": "assistant", "content": None, "audio": {"id": "audio_1"}},
    {"role": "assistant", "content": None, "function_call": {"name": "add", "arguments": "{}"}},
    {"role": "assistant", "content": "4", "reasoning_content": "2 and 2", "reasoning_details": [{"data": "abc"}]},
    {"role": "assistant", "content": "4", "mood": "good"},
]
CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
CALLED: list[dict[str, Any]] = [
    {"role": "assistant", "tool_calls": [CALL | {"extra_content": {"google": {"thought_signature": "s+/=="}}}]},
    {"role": "tool", "tool_call_id": "c1", "content": "4"},
    {"role": "assistant", "tool_calls": [{"id": "c2", "type": "custom", "custom": {"name": "run", "input": "aa"}}]},
    {"role": "tool", "tool_call_id": "c2", "content": "b"},
]


@dataclass
class Asked:
    """A pod with one model at an upstream."""

    pod: Pod
    upstream: FakeUpstream

    async def post(self, **fields: Any) -> Exchange:  # noqa: ANN401  # any JSON
        return await ask(self.pod.app, post(PATH, {"model": "m", "messages": [HI], **fields}))

    @property
    def received(self) -> Any:  # noqa: ANN401  # any JSON
        return self.upstream.requests[-1].json


@asynccontextmanager
async def asked(wire: Wire, script: Handler, **model: object) -> AsyncIterator[Asked]:
    async with fake_upstream(script) as upstream:
        entry = Model.model_validate({"name": "default", "provider": "up", "model": "gpt-x", **model})
        catalogue: Catalogue
        async with catalogue_of(config_of(provider_of(wire, upstream.url), models=[entry])) as catalogue:
            yield Asked(Pod(catalogue.provider("default")), upstream)


def rich(*chunks: bytes) -> Handler:
    async def script(reply: Reply) -> None:
        await reply.head()
        await reply.send(*chunks)
        await reply.end()

    return script


@asynccontextmanager
async def asked_of(kind: ProviderType) -> AsyncIterator[Asked]:
    """Open a pod whose model is of another dialect."""
    wire = AnthropicWire()
    if kind is ProviderType.ANTHROPIC:
        async with asked(wire, rich(*whole(wire))) as pod:
            yield pod
        return
    scripted = RuntimeProvider(name="up", type=kind)
    models = [Model(name="default", provider="up", model="echo")]
    async with fake_upstream() as none, catalogue_of(config_of(scripted, models=models)) as catalogue:
        yield Asked(Pod(catalogue.provider("default")), none)


@pytest.mark.parametrize("wire", CHAT_WIRES, ids=lambda wire: wire.name)
@pytest.mark.parametrize("stream", [True, False])
async def test_each_field_of_a_request_reaches_the_upstream_as_it_was_sent(wire: Wire, *, stream: bool) -> None:
    async with asked(wire, rich(*whole(wire))) as pod:
        for name, value in FIELDS:
            answer = await pod.post(**{name: value}, stream=stream)
            assert answer.status == 200, (name, answer.body)
            assert pod.received[name] == value
            assert pod.received["messages"] == [HI]
            streams = stream or name != "audio"  # most formats of audio exist in one piece alone
            assert (pod.received["model"], pod.received["stream"]) == ("gpt-x", streams)
            assert ("stream_options" in pod.received) is streams


@pytest.mark.parametrize("wire", CHAT_WIRES, ids=lambda wire: wire.name)
async def test_each_message_and_part_reaches_the_upstream_as_it_was_sent(wire: Wire) -> None:
    async with asked(wire, rich(*whole(wire))) as pod:
        for messages in (*([message] for message in MESSAGES), CALLED, MESSAGES):
            answer = await pod.post(messages=messages)
            assert answer.status == 200, answer.body
            compatible = wire.type is ProviderType.OPENAI_COMPATIBLE
            roles = {"developer": "system"} if compatible else {}
            expected = [message | {"role": roles.get(message["role"], message["role"])} for message in messages]
            assert pod.received["messages"] == expected


async def test_what_an_upstream_is_known_to_refuse_is_changed_and_nothing_else() -> None:
    wire = CHAT_WIRES[0]
    long = "functions.draw:" + "0" * 40
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "of_next_year": 1}}
    call = {"id": long, "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra_content": {"a": 1}}
    messages: list[dict[str, Any]] = [
        {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "hm"},
        {"role": "tool", "tool_call_id": long, "content": [{"type": "text", "text": "Drawn."}, image]},
        {"role": "user", "content": "Nice.", "name": "ann"},
    ]
    async with asked(wire, rich(*whole(wire))) as pod:
        assert (await pod.post(messages=messages)).status == 200
        first, result, user = pod.received["messages"]
    short = result["tool_call_id"]
    assert len(short) <= 40
    assert first == messages[0] | {"tool_calls": [call | {"id": short}]}
    assert result["content"] == [{"type": "text", "text": "Drawn."}]
    assert user["name"] == "ann"
    assert user["content"][1:] == [image, {"type": "text", "text": "Nice."}]


async def test_parameters_of_the_catalogue_fill_what_the_request_does_not_set() -> None:
    wire = CHAT_WIRES[0]
    async with asked(wire, rich(*whole(wire)), parameters={"temperature": 0.2, "maxTokens": 9}) as pod:
        await pod.post()
        assert (pod.received["temperature"], pod.received["max_completion_tokens"]) == (0.2, 9)
        await pod.post(temperature=0, max_tokens=3)
        assert (pod.received["temperature"], pod.received["max_tokens"]) == (0, 3)
        assert "max_completion_tokens" not in pod.received


async def test_imitations_get_the_limit_of_tokens_under_the_name_they_know_too() -> None:
    wire = wire_of(ProviderType.OPENAI_COMPATIBLE)
    async with asked(wire, rich(*whole(wire))) as pod:
        await pod.post(max_completion_tokens=3)
        assert (pod.received["max_completion_tokens"], pod.received["max_tokens"]) == (3, 3)


ELSEWHERE = {
    *("audio", "function_call", "functions", "logit_bias", "logprobs", "modalities", "moderation", "prediction"),
    *("service_tier", "store", "top_logprobs", "verbosity", "web_search_options", "field_of_next_year"),
}
"""Fields that no upstream of another dialect has."""
BEYOND = [
    *((name, value, name) for name, value in FIELDS if name in ELSEWHERE),
    ("reasoning_effort", "of next year", "reasoning_effort"),
    ("response_format", {"type": "grammar", "grammar": "root ::= a"}, "response_format"),
    ("tool_choice", {"type": "custom", "custom": {"name": "run"}}, "tool_choice"),
    ("n", 2, "n"),
    ("tools", [CUSTOM], "tools[0]"),
    ("tools", [FUNCTION | {"defer_loading": True}], "tools[0].defer_loading"),
    ("stream_options", {"of_next_year": True}, "stream_options.of_next_year"),
]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("kind", [ProviderType.ANTHROPIC, ProviderType.SCRIPTED])
async def test_what_another_dialect_does_not_have_is_refused_by_name(kind: ProviderType, *, stream: bool) -> None:
    async with asked_of(kind) as pod:
        for name, value, param in BEYOND:
            answer = await pod.post(**{name: value}, stream=stream)
            assert answer.status == 400, name
            error = answer.json()["error"]
            assert (error["type"], error["param"]) == ("invalid_request_error", param)
            assert f"'{param}'" in error["message"]
        assert not pod.upstream.requests


async def test_what_another_dialect_has_too_is_translated() -> None:
    async with asked_of(ProviderType.ANTHROPIC) as pod:
        names = {name for name, *_ in BEYOND}
        for name, value in FIELDS:
            if name not in names:
                tools = {"tools": [FUNCTION]} if name == "parallel_tool_calls" else {}
                assert (await pod.post(**{name: value}, **tools)).status == 200, name


@pytest.mark.parametrize(
    ("message", "param"),
    [
        (MESSAGES[2], "messages[0].content[0]"),
        (MESSAGES[3], "messages[0].content[0]"),
        (MESSAGES[4], "messages[0].content[0]"),
        (MESSAGES[5], "messages[0].role"),
        (MESSAGES[7], "messages[0].audio"),
        (MESSAGES[8], "messages[0].function_call"),
        (MESSAGES[10], "messages[0].mood"),
        (CALLED[2], "messages[0].tool_calls[0]"),
    ],
)
async def test_a_message_that_another_dialect_cannot_have_is_refused_by_name(
    message: dict[str, Any], param: str
) -> None:
    async with asked_of(ProviderType.ANTHROPIC) as pod:
        answer = await pod.post(messages=[message, HI])
        assert (answer.status, answer.json()["error"]["param"]) == (400, param)
        assert not pod.upstream.requests


LOGPROBS: dict[str, Any] = {
    "content": [{"token": "Hi", "bytes": [72, 105], "logprob": -0.1, "top_logprobs": []}],
    "refusal": None,
}
USAGE = {
    "prompt_tokens": 7,
    "completion_tokens": 4,
    "total_tokens": 11,
    "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 1, "audio_tokens": 3, "image_tokens": 1},
    "completion_tokens_details": {
        "reasoning_tokens": 1,
        "accepted_prediction_tokens": 2,
        "rejected_prediction_tokens": 0,
    },
    "cost": 0.25,
}


def chunk(delta: dict[str, Any] | None = None, reason: str | None = None, **more: Any) -> bytes:  # noqa: ANN401
    choice = {"index": 0, "delta": delta or {}, "logprobs": None, "finish_reason": reason, **more.pop("choice", {})}
    known = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "x"}
    return event({**known, "choices": [choice], "usage": None, **more})


FINGERPRINT = {"service_tier": "flex", "system_fingerprint": "fp_1"}
RICH = [
    chunk({"role": "assistant", "content": "", "refusal": None}, prompt_filter_results=[{"index": 0}], **FINGERPRINT),
    chunk({"reasoning_content": "hm"}, **FINGERPRINT),
    chunk({"reasoning_details": [{"index": 0, "type": "t", "data": "h", "format": "v1"}]}, **FINGERPRINT),
    chunk({"reasoning_details": [{"index": 0, "type": "t", "data": "m", "format": "v1"}]}, **FINGERPRINT),
    chunk({"content": "Hi", "extra_content": {"google": {"thought_signature": "s+/=="}}}, **FINGERPRINT),
    chunk({"content": " you"}, choice={"logprobs": LOGPROBS}, **FINGERPRINT),
    chunk({"content": " all"}, choice={"logprobs": LOGPROBS, "content_filter_results": {"hate": 0}}, **FINGERPRINT),
    *(
        chunk({"content": word}, **FINGERPRINT, obfuscation="x" * size)
        for size, word in enumerate((" a", " b", ' "c"'))
    ),
    chunk({"tool_calls": [{"index": 0, **CALL, "extra_content": {"sig": "x"}}]}, **FINGERPRINT),
    chunk({"tool_calls": [{"index": 1, "id": "c2", "type": "custom", "custom": {"name": "run", "input": "a"}}]}),
    chunk({"tool_calls": [{"index": 1, "custom": {"input": "b"}}]}),
    chunk({"annotations": [{"type": "url_citation", "url_citation": {"url": "https://a"}}]}),
    chunk({"audio": {"id": "audio_1", "data": "AA", "transcript": "H"}}),
    chunk({"audio": {"data": "BB", "transcript": "i"}}),
    chunk(moderation={"input": {"moderation_results": []}}),
    chunk({}, "tool_calls", choice={"stop_reason": 7, "content_filter_results": {"hate": 1}}),
    event(
        {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [], "usage": USAGE, "x_groq": {"id": "r"}}
    ),
    b"data: [DONE]\n\n",
]


def payloads(answer: Exchange) -> list[Any]:
    assert answer.body.endswith(b"data: [DONE]\n\n")
    return [msgspec.json.decode(frame.removeprefix(b"data: ")) for frame in answer.body.split(b"\n\n")[:-2]]


async def test_each_field_of_a_streamed_answer_reaches_the_client() -> None:
    wire = CHAT_WIRES[2]
    async with asked(wire, rich(*RICH)) as pod:
        answer = await pod.post(stream=True, stream_options={"include_usage": True})
    chunks = payloads(answer)
    for each in chunks:
        assert (each["id"], each["model"]) == (chunks[0]["id"], "m")
    assert chunks[0]["id"] != "chatcmpl-1"
    assert all(each.items() >= FINGERPRINT.items() for each in chunks[1:])
    assert "obfuscation" not in answer.body.decode()
    deltas = [choice["delta"] for each in chunks for choice in each["choices"]]
    assert deltas == [
        {"role": "assistant", "content": "", "refusal": None},
        {"reasoning_content": "hm"},
        {"reasoning_details": [{"index": 0, "type": "t", "data": "h", "format": "v1"}]},
        {"reasoning_details": [{"index": 0, "type": "t", "data": "m", "format": "v1"}]},
        {"content": "Hi", "extra_content": {"google": {"thought_signature": "s+/=="}}},
        {"content": " you"},
        {"content": " all"},
        {"content": " a"},
        {"content": " b"},
        {"content": ' "c"'},
        {"tool_calls": [{"index": 0, **CALL, "extra_content": {"sig": "x"}}]},
        {"tool_calls": [{"index": 1, "id": "c2", "type": "custom", "custom": {"name": "run", "input": "a"}}]},
        {"tool_calls": [{"index": 1, "custom": {"input": "b"}}]},
        {"annotations": [{"type": "url_citation", "url_citation": {"url": "https://a"}}]},
        {"audio": {"id": "audio_1", "data": "AA", "transcript": "H"}},
        {"audio": {"data": "BB", "transcript": "i"}},
        {},
        {},
    ]
    choices = [choice for each in chunks for choice in each["choices"]]
    assert [choice["logprobs"] for choice in choices if choice["logprobs"]] == [LOGPROBS, LOGPROBS]
    assert [choice.get("content_filter_results") for choice in choices if "content_filter_results" in choice] == [
        {"hate": 0},
        {"hate": 1},
    ]
    assert choices[-2]["stop_reason"] == 7
    assert choices[-1]["finish_reason"] == "tool_calls"
    beside = {name: value for each in chunks for name, value in each.items()}
    assert beside["prompt_filter_results"] == [{"index": 0}]
    assert beside["moderation"] == {"input": {"moderation_results": []}}
    assert beside["x_groq"] == {"id": "r"}
    assert chunks[-1]["usage"] == USAGE


async def test_each_field_of_a_whole_answer_reaches_the_client() -> None:
    wire = CHAT_WIRES[2]
    async with asked(wire, rich(*RICH)) as pod:
        body = (await pod.post()).json()
    (choice,) = body["choices"]
    assert choice["message"] == {
        "role": "assistant",
        "content": 'Hi you all a b "c"',
        "refusal": None,
        "annotations": [{"type": "url_citation", "url_citation": {"url": "https://a"}}],
        "reasoning_content": "hm",
        "reasoning_details": [{"index": 0, "type": "t", "data": "hm", "format": "v1"}],
        "extra_content": {"google": {"thought_signature": "s+/=="}},
        "audio": {"id": "audio_1", "data": "AABB", "transcript": "Hi"},
        "tool_calls": [
            CALL | {"extra_content": {"sig": "x"}},
            {"id": "c2", "type": "custom", "custom": {"name": "run", "input": "ab"}},
        ],
    }
    assert choice["logprobs"]["content"] == LOGPROBS["content"] * 2
    assert choice["content_filter_results"] == {"hate": 1}
    assert (choice["stop_reason"], choice["finish_reason"]) == (7, "tool_calls")
    assert body["usage"] == USAGE
    assert body.items() >= {**FINGERPRINT, "prompt_filter_results": [{"index": 0}], "x_groq": {"id": "r"}}.items()


WHOLE: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "x",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Hi",
                "refusal": None,
                "annotations": [],
                "reasoning_content": "hm",
                "tool_calls": [CALL | {"extra_content": {"sig": "x"}}],
            },
            "logprobs": LOGPROBS,
            "finish_reason": "tool_calls",
        }
    ],
    "usage": USAGE,
    **FINGERPRINT,
    "field_of_next_year": [1],
}


async def test_an_answer_in_one_piece_reaches_the_client_as_it_is() -> None:
    async def script(reply: Reply) -> None:
        await reply.head(content_type="application/json")
        await reply.send(msgspec.json.encode(WHOLE))
        await reply.end()

    async with asked(CHAT_WIRES[0], script) as pod:
        body = (await pod.post()).json()
    assert body == WHOLE | {name: body[name] for name in ("id", "created")} | {"model": "m"}


@pytest.mark.parametrize("stream", [True, False])
async def test_a_refusal_and_a_call_in_the_old_form_stay_what_they_are(*, stream: bool) -> None:
    chunks = [chunk({"role": "assistant", "content": None}), chunk({"refusal": "No"}), chunk({"refusal": "."})]
    async with asked(CHAT_WIRES[0], rich(*chunks, chunk({}, "stop"), RICH[-1])) as pod:
        answer = await pod.post(stream=stream)
        if stream:
            assert [each["choices"][0]["delta"] for each in payloads(answer)[1:3]] == [
                {"refusal": "No"},
                {"refusal": "."},
            ]
        else:
            message = answer.json()["choices"][0]["message"]
            assert (message["content"], message["refusal"]) == (None, "No.")
    calls = [chunk({"function_call": {"name": "add", "arguments": "{"}}), chunk({"function_call": {"arguments": "}"}})]
    async with asked(CHAT_WIRES[0], rich(*calls, chunk({}, "function_call"), RICH[-1])) as pod:
        answer = await pod.post(stream=stream, functions=[{"name": "add"}])
        if stream:
            *pieces, last = (each["choices"][0] for each in payloads(answer)[1:])
            assert [choice["delta"]["function_call"]["arguments"] for choice in pieces] == ["{", "}"]
        else:
            (last,) = answer.json()["choices"]
            assert last["message"]["function_call"] == {"name": "add", "arguments": "{}"}
        assert last["finish_reason"] == "function_call"


@pytest.mark.parametrize("cut", range(1, len(RICH) - 3))
async def test_an_answer_that_is_cut_is_never_whole(cut: int) -> None:
    async with asked(CHAT_WIRES[0], rich(*RICH[:cut])) as pod:
        answer = await pod.post(stream=True)
        if answer.status == 200:
            assert b'"code":"upstream_truncated"' in answer.body
            assert b"[DONE]" not in answer.body
        else:
            assert answer.status == 502
        assert (await pod.post()).status == 502


def of_choice(index: int, delta: dict[str, Any], reason: str | None = None, **more: object) -> bytes:
    return event({"choices": [{"index": index, "delta": delta, "finish_reason": reason, **more}]})


TWO = [
    of_choice(0, {"role": "assistant", "content": ""}),
    of_choice(1, {"role": "assistant", "content": ""}),
    *(of_choice(index, {"content": word}) for word in ("a", "b", "c") for index in (1, 0)),
    of_choice(1, {"tool_calls": [{"index": 0, **CALL}]}, logprobs=LOGPROBS),
    of_choice(1, {}, "tool_calls"),
    of_choice(0, {}, "stop"),
    event({"choices": [], "usage": USAGE}),
    RICH[-1],
]


@pytest.mark.parametrize("stream", [True, False])
async def test_several_choices_are_whole_when_each_of_them_is(*, stream: bool) -> None:
    async with asked(CHAT_WIRES[0], rich(*TWO)) as pod:
        answer = await pod.post(n=2, stream=stream)
        assert pod.received["n"] == 2
    if stream:
        choices = [choice for each in payloads(answer) for choice in each["choices"]]
        texts = {
            index: "".join(c["delta"].get("content") or "" for c in choices if c["index"] == index) for index in (0, 1)
        }
        assert texts == {0: "abc", 1: "abc"}
        ends = {choice["index"]: choice["finish_reason"] for choice in choices if choice["finish_reason"]}
        assert ends == {0: "stop", 1: "tool_calls"}
    else:
        first, second = answer.json()["choices"]
        assert (first["message"]["content"], first["finish_reason"]) == ("abc", "stop")
        assert second == {
            "index": 1,
            "message": {
                "role": "assistant",
                "content": "abc",
                "refusal": None,
                "annotations": [],
                "tool_calls": [CALL],
            },
            "logprobs": LOGPROBS,
            "finish_reason": "tool_calls",
        }
    missing = [frame for frame in TWO if b'"finish_reason":"tool_calls"' not in frame]
    async with asked(CHAT_WIRES[0], rich(*missing)) as pod:
        answer = await pod.post(n=2, stream=stream)
        assert answer.status == 502 or b'"code":"upstream_truncated"' in answer.body
        assert b"[DONE]" not in answer.body


async def test_an_upstream_that_knows_no_n_answers_with_one_choice() -> None:
    async with asked(CHAT_WIRES[2], rich(*whole(CHAT_WIRES[2]))) as pod:
        (choice,) = (await pod.post(n=2)).json()["choices"]
    assert choice["finish_reason"] == "stop"


async def test_several_choices_in_one_piece_reach_the_client_as_they_are() -> None:
    (choice,) = WHOLE["choices"]
    two = WHOLE | {"choices": [choice, choice | {"index": 1, "finish_reason": "length"}]}

    async def script(reply: Reply) -> None:
        await reply.head(content_type="application/json")
        await reply.send(msgspec.json.encode(two))
        await reply.end()

    async with asked(CHAT_WIRES[0], script) as pod:
        body = (await pod.post(n=2)).json()
    assert body == two | {name: body[name] for name in ("id", "created")} | {"model": "m"}
