"""What a client of the OpenAI dialect may ask: each parameter is forwarded, honoured, a hint, or refused by name."""

import inspect
import json
from typing import Any, Literal, get_type_hints

import msgspec
import pytest
from openai.types.chat import completion_create_params as vendor

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import ChatRequest, Function, ImagePart, ImageURL, Message, MessageToolCall, TextPart
from chatfleet_api.web.dialects.openai.body import ChatCompletionBody
from chatfleet_api.web.dialects.openai.request import CompletionRequest, read_completion

HI = {"role": "user", "content": "Hi"}
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}, "strict": True}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}


def read(**parameters: Any) -> CompletionRequest:  # noqa: ANN401  # any JSON
    return read_completion(json.dumps({"model": "m", "messages": [HI], **parameters}).encode())


def common(request: ChatRequest) -> ChatRequest:
    """Return what upstreams of all dialects get."""
    return msgspec.structs.replace(request, sent=None)


def refusal(**parameters: Any) -> ChatError:  # noqa: ANN401  # any JSON
    with pytest.raises(ChatError) as caught:
        read(**parameters)
    assert caught.value.code is Code.INVALID_REQUEST
    return caught.value


def test_a_minimal_request_asks_for_one_whole_answer() -> None:
    asked = read()
    assert (asked.stream, asked.include_usage, asked.metadata) == (False, False, None)
    assert common(asked.request) == ChatRequest("m", (Message("user", "Hi"),))


@pytest.mark.feature(28)
@pytest.mark.parametrize(
    ("sent", "asked"),
    [
        ({"temperature": 1}, {"temperature": 1.0}),
        ({"temperature": None}, {}),
        ({"top_p": 0.5}, {"top_p": 0.5}),
        ({"max_tokens": 7}, {"max_tokens": 7}),
        ({"max_completion_tokens": 7}, {"max_tokens": 7}),
        ({"stop": "END"}, {"stop": ("END",)}),
        ({"stop": ["A", "B"]}, {"stop": ("A", "B")}),
        ({"seed": -3}, {"seed": -3}),
        ({"presence_penalty": -2}, {"presence_penalty": -2.0}),
        ({"frequency_penalty": 2}, {"frequency_penalty": 2.0}),
        ({"reasoning_effort": "low"}, {"reasoning_effort": "low"}),
        ({"reasoning": {"effort": "low", "summary": "auto"}}, {"reasoning_effort": "low"}),
        ({"reasoning": {"effort": "low"}, "reasoning_effort": "high"}, {"reasoning_effort": "high"}),
        ({"reasoning": {"summary": "auto"}}, {}),
        ({"response_format": {"type": "json_object"}}, {"response_format": {"type": "json_object"}}),
        ({"response_format": SCHEMA}, {"response_format": SCHEMA}),
        ({"tools": [TOOL]}, {"tools": (TOOL,)}),
        ({"tool_choice": "required"}, {"tool_choice": "required"}),
        (
            {"tool_choice": {"type": "function", "function": {"name": "add"}}},
            {"tool_choice": {"type": "function", "function": {"name": "add"}}},
        ),
        ({"parallel_tool_calls": False}, {"parallel_tool_calls": False}),
        ({"user": "u"}, {"user": "u"}),
        ({"safety_identifier": "s"}, {"user": "s"}),
    ],
)
def test_what_a_model_understands_is_forwarded(sent: dict[str, Any], asked: dict[str, Any]) -> None:
    request = read(**sent).request
    assert common(request) == ChatRequest("m", (Message("user", "Hi"),), **asked)
    assert request.sent
    assert not request.sent.untranslated


@pytest.mark.parametrize(
    "sent",
    [
        {"n": 1},
        {"logprobs": False},
        {"store": False},
        {"store": None},
        {"service_tier": "auto"},
        {"verbosity": "medium"},
        {"modalities": ["text"]},
        {"logit_bias": {}},
        {"prompt_cache_key": "k"},
        {"prompt_cache_retention": "24h"},
        {"prompt_cache_options": {"mode": "implicit"}},
        {"metadata": {"team": "a"}},
    ],
)
def test_what_changes_no_answer_is_taken(sent: dict[str, Any]) -> None:
    request = read(**sent).request
    assert common(request) == ChatRequest("m", (Message("user", "Hi"),))
    assert request.sent
    assert not request.sent.untranslated


def test_streaming_and_its_usage_are_asked_for() -> None:
    asked = read(stream=True, stream_options={"include_usage": True, "include_obfuscation": False})
    assert asked.stream
    assert asked.include_usage


def test_labels_of_the_caller_are_remembered() -> None:
    assert read(metadata={"team": "a"}).metadata == {"team": "a"}


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        ({"model": 5}, "model"),
        ({"model": ""}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, "messages[0].role"),
        ({"messages": [{"content": "Hi"}]}, "messages[0].role"),
        ({"messages": [HI, {"role": "user"}]}, "messages[1].content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "tool", "content": "4"}]}, "messages[0].tool_call_id"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": 1, "max_completion_tokens": 1}, "max_tokens"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"seed": 1.5}, "seed"),
        ({"presence_penalty": 3}, "presence_penalty"),
        ({"frequency_penalty": -3}, "frequency_penalty"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"tools": [{"type": "function", "function": {"name": "two words"}}]}, "tools[0].function.name"),
        ({"tool_choice": "perhaps"}, "tool_choice"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"metadata": {"team": 1}}, "metadata"),
        ({"n": 0}, "n"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(sent: dict[str, Any], param: str) -> None:
    error = refusal(**sent)
    assert error.param == param
    assert f"'{param}'" in error.message


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]},
            "messages[0].content[0]",
        ),
        ({"messages": [{"role": "user", "content": "Hi", "mood": "good"}]}, "messages[0].mood"),
        ({"messages": [{"role": "function", "name": "f", "content": "4"}]}, "messages[0].role"),
        ({"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, "messages[0].audio"),
        (
            {"messages": [{"role": "assistant", "function_call": {"name": "f", "arguments": ""}}]},
            "messages[0].function_call",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "a", "b": 1}}]}]},
            "messages[0].content[0].image_url.b",
        ),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"reasoning": {"effort": "low", "exclude": True}}, "reasoning"),
        ({"reasoning": {"effort": "huge"}}, "reasoning_effort"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0]"),
        ({"tools": [TOOL | {"defer_loading": True}]}, "tools[0].defer_loading"),
        ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {}}}, "tool_choice"),
        ({"stream": True, "stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation"),
        ({"stream": True, "stream_options": {"of_next_year": True}}, "stream_options.of_next_year"),
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"store": True}, "store"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"verbosity": "low"}, "verbosity"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"voice": "v", "format": "mp3"}}, "audio"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"function_call": {"name": "f"}}, "function_call"),
        ({"logit_bias": {"50256": -100}}, "logit_bias"),
        ({"moderation": {}}, "moderation"),
        ({"prediction": {"type": "content", "content": ""}}, "prediction"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_only_its_own_dialect_has_is_named_and_left_to_it(sent: dict[str, Any], param: str) -> None:
    request = read(**sent).request
    assert request.sent
    assert msgspec.json.decode(request.sent.body) == {"model": "m", "messages": [HI], **sent}
    (beyond,) = request.sent.untranslated
    assert beyond.param == param
    assert f"'{param}'" in beyond.message


def test_signatures_and_hints_to_a_cache_are_no_loss_elsewhere() -> None:
    hinted = {"role": "user", "content": [{"type": "text", "text": "Hi", "prompt_cache_breakpoint": {}}]}
    call = {"id": "c1", "type": "function", "index": 0, "function": {"name": "add", "arguments": "{}"}}
    signed = {"role": "assistant", "tool_calls": [call | {"extra_content": {"google": {"thought_signature": "s"}}}]}
    reasoned = {"role": "assistant", "content": "4", "reasoning": "hm", "reasoning_details": [{"data": "s"}]}
    request = read(messages=[hinted, signed, reasoned]).request
    assert request.sent
    assert not request.sent.untranslated
    assert [message.content for message in request.messages] == [[TextPart("Hi")], None, "4"]


def test_every_parameter_of_the_vendors_sdk_is_known() -> None:
    theirs = get_type_hints(vendor.CompletionCreateParamsStreaming, vars(vendor) | vars(inspect.getmodule(vendor)))
    assert set(theirs) == set(ChatCompletionBody.__struct_fields__)


def test_a_missing_parameter_is_named() -> None:
    with pytest.raises(ChatError, match="Missing required parameter: 'messages'") as caught:
        read_completion(b'{"model":"m"}')
    assert caught.value.param == "messages"


def test_an_answer_that_was_given_can_be_sent_back_as_it_is() -> None:
    function = {"name": "add", "arguments": "{}", "parsed_arguments": None}
    call = {"id": "c1", "type": "function", "function": function}
    given = {"role": "assistant", "content": None, "refusal": None, "annotations": [], "tool_calls": [call]}
    reasoned = {"role": "assistant", "content": "4", "reasoning_content": "2 and 2", "audio": None}
    helped = {"role": "assistant", "content": "4", "parsed": 4}
    result = {"role": "tool", "tool_call_id": "c1", "content": "4"}
    asked = read(messages=[HI, given | {"parsed": None}, result, reasoned, helped])
    assert asked.request.messages[1:] == (
        Message("assistant", None, tool_calls=[MessageToolCall("c1", Function("add", "{}"))]),
        Message("tool", "4", tool_call_id="c1"),
        Message("assistant", "4"),
        Message("assistant", "4"),
    )


def test_a_refusal_that_was_given_counts_as_what_was_said() -> None:
    asked = read(messages=[HI, {"role": "assistant", "content": None, "refusal": "No."}, HI])
    assert asked.request.messages[1] == Message("assistant", "No.")


def test_a_refusal_that_came_in_parts_is_text() -> None:
    parts = [{"type": "text", "text": "Well. "}, {"type": "refusal", "refusal": "No."}]
    asked = read(messages=[HI, {"role": "assistant", "content": parts}, HI])
    assert asked.request.messages[1] == Message("assistant", [TextPart("Well. "), TextPart("No.")])


@pytest.mark.parametrize("detail", ["auto", "low", "high", "original", None])
def test_each_detail_of_an_image_is_kept(detail: Literal["auto", "low", "high", "original"] | None) -> None:
    part = {"type": "image_url", "image_url": {"url": "data:x", "detail": detail}}
    asked = read(messages=[{"role": "user", "content": [part]}])
    assert asked.request.messages[0].content == [ImagePart(ImageURL("data:x", detail))]


def test_text_and_images_are_forwarded_as_parts() -> None:
    parts = [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": "data:x", "detail": "low"}}]
    asked = read(messages=[{"role": "user", "content": parts}])
    assert asked.request.messages[0].content == [TextPart("See"), ImagePart(ImageURL("data:x", "low"))]


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{", b'"text"', b"{}x", b'{"model":"\xff"}', b'{"model":"\\ud800"}', b"[" * 100_000],
)
def test_what_is_no_json_object_is_refused_in_words(body: bytes) -> None:
    with pytest.raises(ChatError) as caught:
        read_completion(body)
    assert caught.value.code is Code.INVALID_REQUEST
    assert caught.value.message.endswith(".")


@pytest.mark.parametrize("where", ["tools", "response_format"])
def test_free_parts_that_nest_too_deeply_are_refused(where: str) -> None:
    deep: dict[str, Any] = {}
    for _ in range(200):
        deep = {"a": deep}
    tools = [{"type": "function", "function": {"name": "f", "parameters": deep}}]
    form = {"type": "json_schema", "json_schema": {"name": "f", "schema": deep}}
    assert refusal(**{where: tools if where == "tools" else form}).message.startswith("The JSON nests too deeply")


def test_a_complaint_quotes_no_more_than_a_little_of_what_was_sent() -> None:
    assert len(refusal(tool_choice="x" * 1_000_000).message) < 500
    sent = read(**{"x" * 1_000_000: 1}).request.sent
    assert sent
    assert len(sent.untranslated[0].message) < 500
