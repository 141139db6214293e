"""Requests in the terms of Converse; what it does not have is refused by name."""

import base64
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Signature, Thought
from chatfleet_api.domain.request import (
    CHAT,
    ChatRequest,
    ContentPart,
    Function,
    ImagePart,
    ImageURL,
    Message,
    MessageToolCall,
    Sent,
    TextPart,
    Untranslated,
)
from chatfleet_api.providers.vendors.bedrock.request import OWN_FIELDS, body

HI = Message("user", "Hi.")
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "get", "description": "Gets.", "parameters": {"properties": {"a": {}}}, "strict": True},
}
SPEC = {
    "toolSpec": {
        "name": "get",
        "description": "Gets.",
        "inputSchema": {"json": {"type": "object", "properties": {"a": {}}}},
        "strict": True,
    }
}
CALLED = (
    HI,
    Message("assistant", "Let me look.", tool_calls=[MessageToolCall("c1", Function("get", '{"a":1}'))]),
    Message("tool", "Sunny.", tool_call_id="c1"),
)
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n1").decode()


def sent(request: ChatRequest) -> dict[str, Any]:
    decoded: dict[str, Any] = msgspec.json.decode(body(request))
    return decoded


def asked(*messages: Message, **fields: Any) -> ChatRequest:  # noqa: ANN401  # any field
    return ChatRequest("m", messages or (HI,), **fields)


def refusal(request: ChatRequest) -> ChatError:
    with pytest.raises(ChatError) as raised:
        body(request)
    assert raised.value.code is Code.INVALID_REQUEST
    return raised.value


def test_the_least_is_a_message() -> None:
    assert sent(asked()) == {"messages": [{"role": "user", "content": [{"text": "Hi."}]}]}


def test_instructions_and_parameters_have_their_places() -> None:
    request = asked(
        Message("system", "Be brief."),
        Message("developer", "Be kind."),
        HI,
        temperature=0.5,
        top_p=0.9,
        max_tokens=7,
        stop=("END",),
    )
    assert sent(request) == {
        "system": [{"text": "Be brief.\n\nBe kind."}],
        "messages": [{"role": "user", "content": [{"text": "Hi."}]}],
        "inferenceConfig": {"temperature": 0.5, "topP": 0.9, "maxTokens": 7, "stopSequences": ["END"]},
    }


def test_calls_and_results_become_blocks() -> None:
    request = asked(*CALLED, Message("tool", "", tool_call_id="c1"), tools=(TOOL,))
    assert refusal(request).param == "messages[3].tool_call_id"
    turns = sent(asked(*CALLED, tools=(TOOL,)))["messages"]
    assert turns[1:] == [
        {
            "role": "assistant",
            "content": [
                {"text": "Let me look."},
                {"toolUse": {"toolUseId": "c1", "name": "get", "input": {"a": 1}}},
            ],
        },
        {"role": "user", "content": [{"toolResult": {"toolUseId": "c1", "content": [{"text": "Sunny."}]}}]},
    ]


def test_a_call_without_result_and_a_result_without_text_have_a_sentence() -> None:
    (result,) = sent(asked(*CALLED[:2], tools=(TOOL,)))["messages"][-1]["content"]
    assert result["toolResult"] == {
        "toolUseId": "c1",
        "content": [{"text": "The tool gave no result."}],
        "status": "error",
    }
    empty = (*CALLED[:2], Message("tool", "", tool_call_id="c1"))
    (result,) = sent(asked(*empty, tools=(TOOL,)))["messages"][-1]["content"]
    assert result["toolResult"]["content"] == [{"text": "The tool returned nothing."}]


def test_only_the_model_that_signed_reasoning_gets_it_back_byte_for_byte() -> None:
    thoughts = [
        Thought("Hm.", Signature("m", "x+/==")),
        Thought("", Signature("m", "RXZB+/==", redacted=True)),
        Thought("Another's.", Signature("another", "y==")),
        Thought("Unsigned."),
    ]
    answer = Message("assistant", "Yes?", thoughts=thoughts)
    assert sent(asked(HI, answer, HI))["messages"][1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "x+/=="}}},
        {"reasoningContent": {"redactedContent": "RXZB+/=="}},
        {"text": "Yes?"},
    ]


def test_images_are_data_and_an_address_is_refused_by_name() -> None:
    picture = ImagePart(ImageURL(f"data:image/png;base64,{PNG}"))
    content = sent(asked(Message("user", [TextPart("Look."), picture])))["messages"][0]["content"]
    assert content == [{"text": "Look."}, {"image": {"format": "png", "source": {"bytes": PNG}}}]
    address = ImagePart(ImageURL("https://example.com/a.png"))
    error = refusal(asked(HI, Message("user", [address])))
    assert error.param == "messages[1].content"
    assert "send a data URL" in error.message


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, None),
        ("auto", {"auto": {}}),
        ("required", {"any": {}}),
        ({"type": "function", "function": {"name": "get"}}, {"tool": {"name": "get"}}),
    ],
)
def test_tools_and_their_choice(choice: str | dict[str, Any] | None, expected: dict[str, Any] | None) -> None:
    config = sent(asked(tools=(TOOL,), tool_choice=choice))["toolConfig"]
    assert config == {"tools": [SPEC]} | ({"toolChoice": expected} if expected else {})


def test_no_tools_are_sent_when_none_may_be_used() -> None:
    assert "toolConfig" not in sent(asked(tools=(TOOL,), tool_choice="none"))
    assert refusal(asked(*CALLED, tools=(TOOL,), tool_choice="none")).param == "tool_choice"


def test_tools_of_the_past_are_declared_as_converse_demands() -> None:
    declared = {"toolSpec": {"name": "get", "inputSchema": {"json": {"type": "object"}}}}
    assert sent(asked(*CALLED))["toolConfig"] == {"tools": [declared]}


def test_structured_output_and_effort_have_their_places() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
    output = sent(asked(response_format=form, reasoning_effort="minimal"))["outputConfig"]
    structure = output["textFormat"].pop("structure")
    assert output == {"effort": "low", "textFormat": {"type": "json_schema"}}
    assert msgspec.json.decode(structure["jsonSchema"].pop("schema")) == schema
    assert structure == {"jsonSchema": {"name": "answer"}}
    assert "outputConfig" not in sent(asked(response_format={"type": "text"}))


@dataclass(frozen=True)
class Beyond:
    """A parameter that Converse does not have."""

    param: str
    fields: dict[str, Any]


@pytest.mark.parametrize(
    "beyond",
    [
        Beyond("seed", {"seed": 7}),
        Beyond("presence_penalty", {"presence_penalty": 0.5}),
        Beyond("frequency_penalty", {"frequency_penalty": -0.5}),
        Beyond("parallel_tool_calls", {"parallel_tool_calls": False, "tools": (TOOL,)}),
        Beyond("response_format", {"response_format": {"type": "json_object"}}),
        Beyond("reasoning_effort", {"reasoning_effort": "none"}),
        Beyond("tools[0]", {"tools": ({"type": "function"},)}),
    ],
    ids=lambda beyond: beyond.param,
)
def test_what_has_no_counterpart_is_refused_by_name(beyond: Beyond) -> None:
    error = refusal(asked(**beyond.fields))
    assert error.param == beyond.param
    assert f"'{beyond.param}'" in error.message


def test_neutral_values_are_no_loss() -> None:
    neutral = {"presence_penalty": 0.0, "frequency_penalty": 0.0, "parallel_tool_calls": True, "user": "ann"}
    assert sent(asked(tools=(TOOL,), **neutral)).keys() == {"messages", "toolConfig"}


def as_sent(fields: dict[str, Any], *untranslated: str) -> Sent:
    parts = tuple(Untranslated(param, f"Unsupported value: '{param}'.") for param in untranslated)
    return Sent(CHAT, msgspec.Raw(msgspec.json.encode(fields)), 1, parts)


@pytest.mark.parametrize("name", sorted(OWN_FIELDS))
def test_a_field_of_converse_is_sent_as_it_came(name: str) -> None:
    value = {"top_k": 5, "of_next_year": [1.0, "ü"]}
    assert sent(asked(sent=as_sent({"messages": [], name: value}, name)))[name] == value


def test_a_field_of_neither_dialect_is_refused_by_name() -> None:
    fields = {"additionalModelRequestFields": {}, "logit_bias": {"1": 1}}
    request = asked(sent=as_sent(fields, "additionalModelRequestFields", "logit_bias"))
    assert refusal(request).param == "logit_bias"


PDF = base64.b64encode(b"%PDF-1.7").decode()
PLACE = "messages[0].content[1]"


def with_files(*files: dict[str, Any], role: str = "user") -> ChatRequest:
    """Return a chat completion with files after a text, as its dialect's parser makes it."""
    parts = [{"type": "text", "text": "Read."}, *({"type": "file", "file": file} for file in files)]
    places = [f"messages[0].content[{index + 1}]" for index in range(len(files))]
    body_ = {"messages": [{"role": role, "content": parts}]}
    content: list[ContentPart] = [TextPart("Read."), *(TextPart("") for _ in files)]
    message = Message("user" if role == "user" else "assistant", content)
    return asked(message, sent=as_sent(body_, *places))


def test_files_become_documents_with_names_of_their_own() -> None:
    request = with_files(
        {"file_data": f"data:application/pdf;base64,{PDF}", "filename": "Q3: the_report (final).pdf"},
        {"file_data": PDF, "filename": "../notes.MD"},
        {"file_data": f"data:text/csv;charset=utf-8;base64,{PDF}"},
    )
    assert sent(request)["messages"][0]["content"] == [
        {"text": "Read."},
        {"document": {"format": "pdf", "name": "Q3 the report (final)", "source": {"bytes": PDF}}},
        {"document": {"format": "md", "name": "notes 2", "source": {"bytes": PDF}}},
        {"document": {"format": "csv", "name": "document 3", "source": {"bytes": PDF}}},
    ]


@pytest.mark.parametrize(
    ("file", "remedy"),
    [
        ({"file_id": "file-1"}, "send file_data"),
        ({"file_data": PDF, "filename": "a.exe"}, "send pdf, csv"),
        ({"file_data": "data:application/pdf;base64,%%%"}, "is not base64"),
        ({"file_data": 7}, "send file_data"),
    ],
)
def test_a_file_that_is_none_is_refused_with_the_remedy(file: dict[str, Any], remedy: str) -> None:
    error = refusal(with_files(file))
    assert (error.param, remedy in error.message) == (PLACE, True)


def test_only_users_and_tools_send_files() -> None:
    request = with_files({"file_data": PDF, "filename": "a.pdf"}, role="assistant")
    assert refusal(request).message == f"Unsupported value: '{PLACE}'."


@pytest.mark.parametrize("text", [f"\0document {PLACE}", "\0cache point ", "\0cache point 1h"])
def test_a_text_is_no_mark(text: str) -> None:
    assert sent(asked(Message("user", text)))["messages"][0]["content"] == [{"text": text}]


HINT = {"cache_control": {"type": "ephemeral"}}
HOUR = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
POINT = {"cachePoint": {"type": "default"}}
LONG_POINT = {"cachePoint": {"type": "default", "ttl": "1h"}}


def cached(model: str, *hints: dict[str, Any]) -> dict[str, Any]:
    """Return what is sent for a chat completion with a hint at a tool, the instructions, and each text of the user."""
    texts = [{"type": "text", "text": f"{number}"} for number in range(len(hints))]
    body_ = {
        "tools": [TOOL | HINT, TOOL],
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "Be brief."} | HOUR]},
            {"role": "user", "content": [text | hint for text, hint in zip(texts, hints, strict=True)]},
        ],
    }
    content: list[ContentPart] = [TextPart(text["text"]) for text in texts]
    messages = (Message("system", [TextPart("Be brief.")]), Message("user", content))
    return sent(ChatRequest(model, messages, tools=(TOOL, TOOL), sent=as_sent(body_)))


@pytest.mark.parametrize("model", ["eu.anthropic.claude-haiku-5-5-v1:0", "amazon.nova-pro-v1:0"])
def test_cache_control_becomes_cache_points_after_its_parts(model: str) -> None:
    fields = cached(model, HINT, {}, HOUR)
    assert fields["toolConfig"]["tools"] == [SPEC, POINT, SPEC]
    assert fields["system"] == [{"text": "Be brief."}, LONG_POINT]
    assert fields["messages"][0]["content"] == [{"text": "0"}, POINT, {"text": "1"}, {"text": "2"}, LONG_POINT]


@pytest.mark.parametrize(
    ("model", "expected"), [("amazon.nova-pro-v1:0", [{"text": "Long."}, POINT]), ("m", [{"text": "Long."}])]
)
def test_instructions_that_a_cache_shall_keep_get_a_cache_point(model: str, expected: list[Any]) -> None:
    request = ChatRequest(model, (Message("system", "Long."), HI), caches_instructions=True)
    assert sent(request)["system"] == expected


def test_there_are_four_cache_points_at_most_and_wrong_ones_are_none() -> None:
    fields = cached("amazon.nova-pro-v1:0", {"cache_control": {"type": "x"}}, HINT, HINT, HINT)
    assert fields["messages"][0]["content"] == [
        {"text": "0"},
        {"text": "1"},
        POINT,
        {"text": "2"},
        POINT,
        {"text": "3"},
    ]


def test_a_model_without_a_cache_gets_none() -> None:
    assert b"cachePoint" not in msgspec.json.encode(cached("meta.llama4-maverick-17b-instruct-v1:0", HINT))
