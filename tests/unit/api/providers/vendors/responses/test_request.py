"""Requests of other dialects in the terms of OpenAI's Responses API: nothing is stored, nothing is dropped."""

import json
from typing import Any

import msgspec
import pytest

from chatfleet_api.chat.compaction import sealed_summary
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import (
    RESPONSES,
    AnyToolCall,
    ChatRequest,
    CustomInput,
    CustomToolCall,
    Function,
    ImagePart,
    ImageURL,
    Message,
    MessageToolCall,
    Sent,
    TextPart,
)
from chatfleet_api.providers.vendor import Vendor
from chatfleet_api.providers.vendors.table import AZURE_RESPONSES, COMPATIBLE_RESPONSES, OPENAI_RESPONSES
from chatfleet_api.web.dialects.messages.request import WITH_SAMPLING, read_message
from chatfleet_api.web.dialects.openai.request import read_completion
from chatfleet_contract.spec.providers import Compatibility

HI = Message("user", "Hi")
EVERYWHERE = pytest.mark.parametrize("vendor", [OPENAI_RESPONSES, AZURE_RESPONSES, COMPATIBLE_RESPONSES])


def body_of(request: ChatRequest, vendor: Vendor = OPENAI_RESPONSES, **compatibility: bool) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(vendor.body(request, Compatibility(**compatibility)))
    return body


def of_chat(**fields: Any) -> ChatRequest:  # noqa: ANN401  # fields of a body
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **fields}
    return read_completion(json.dumps(body).encode()).request


@EVERYWHERE
def test_a_request_has_all_of_the_input_and_the_upstream_stores_none_of_it(vendor: Vendor) -> None:
    request = ChatRequest("m", (Message("system", "Be brief."), HI), max_tokens=5, temperature=0.5)
    assert vendor.path(request) == "/responses"
    assert body_of(request, vendor) == {
        "model": "m",
        "input": [
            {"type": "message", "role": "system", "content": "Be brief."},
            {"type": "message", "role": "user", "content": "Hi"},
        ],
        "max_output_tokens": 5,
        "temperature": 0.5,
        "store": False,
        "stream": True,
    }
    assert body_of(request, vendor, stream=False)["stream"] is False


def test_calls_and_their_results_are_items_of_their_own() -> None:
    calls: list[AnyToolCall] = [
        MessageToolCall("call_1", Function("weather", '{"city":"Ulm"}')),
        CustomToolCall("call_2", CustomInput("shell", "ls")),
    ]
    results = (Message("tool", "Rain.", tool_call_id="call_1"), Message("tool", "a.txt", tool_call_id="call_2"))
    asked = ChatRequest("m", (HI, Message("assistant", "Let me look.", tool_calls=calls), *results))
    assert body_of(asked)["input"][1:] == [
        {"type": "message", "role": "assistant", "content": "Let me look."},
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city":"Ulm"}'},
        {"type": "custom_tool_call", "call_id": "call_2", "name": "shell", "input": "ls"},
        {"type": "function_call_output", "call_id": "call_1", "output": "Rain."},
        {"type": "custom_tool_call_output", "call_id": "call_2", "output": "a.txt"},
    ]


@pytest.mark.parametrize(
    ("vendor", "roles", "detail"),
    [(OPENAI_RESPONSES, ["developer", "tool"], "original"), (COMPATIBLE_RESPONSES, ["system", "user"], "high")],
)
def test_imitations_get_images_of_users_alone_and_no_developers(vendor: Vendor, roles: list[str], detail: str) -> None:
    picture = ImagePart(ImageURL("https://example.com/a.png", "original"))
    call = MessageToolCall("call_1", Function("look", "{}"))
    shown = Message("tool", [TextPart("Here."), picture], tool_call_id="call_1")
    first, _, *rest = body_of(
        ChatRequest("m", (Message("developer", "Be brief."), Message("assistant", tool_calls=[call]), shown)), vendor
    )["input"]
    image = {"type": "input_image", "image_url": "https://example.com/a.png", "detail": detail}
    assert first["role"] == roles[0]
    holder = next(item for item in rest if image in [*(item.get("output") or item["content"])])
    assert holder.get("role", "tool") == roles[1]


def test_functions_are_as_strict_as_the_client_said_though_this_api_has_another_default() -> None:
    function = {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}
    tools = ({"type": "function", "function": function}, {"type": "function", "function": {**function, "strict": True}})
    lax, strict = body_of(ChatRequest("m", (HI,), tools=tools))["tools"]
    assert lax == {"type": "function", **function, "strict": False}
    assert strict == {"type": "function", **function, "strict": True}


def test_choices_grammars_and_schemas_stand_beside_their_type() -> None:
    grammar = {"syntax": "lark", "definition": "start: /a/"}
    custom = {"name": "c", "format": {"type": "grammar", "grammar": grammar}}
    allowed = {"mode": "auto", "tools": [{"type": "custom", "custom": custom}]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    schema = {"name": "s", "schema": {"type": "object"}, "strict": True}
    body = body_of(
        ChatRequest(
            "m",
            (HI,),
            tools=({"type": "custom", "custom": custom},),
            tool_choice=choice,
            response_format={"type": "json_schema", "json_schema": schema},
            reasoning_effort="low",
            parallel_tool_calls=False,
        )
    )
    assert body["tools"] == [{"type": "custom", "name": "c", "format": {"type": "grammar", **grammar}}]
    assert body["tool_choice"] == {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "custom", "name": "c"}]}
    assert body["text"] == {"format": {"type": "json_schema", **schema}}
    assert (body["reasoning"], body["parallel_tool_calls"]) == ({"effort": "low"}, False)
    named = {"type": "function", "function": {"name": "f"}}
    assert body_of(ChatRequest("m", (HI,), tool_choice=named))["tool_choice"] == {"type": "function", "name": "f"}


def test_what_both_apis_of_openai_have_is_passed_on() -> None:
    fields = {"service_tier": "flex", "prompt_cache_key": "k", "safety_identifier": "s", "metadata": {"a": "b"}}
    body = body_of(of_chat(**fields, verbosity="low", response_format={"type": "json_object"}))
    assert {name: body[name] for name in fields} == fields
    assert body["text"] == {"format": {"type": "json_object"}, "verbosity": "low"}
    assert "user" not in body


@pytest.mark.parametrize(
    ("name", "value"), [("stop", ["X"]), ("seed", 1), ("presence_penalty", 0.5), ("n", 2), ("logprobs", True)]
)
def test_what_has_no_counterpart_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ChatError) as caught:
        body_of(of_chat(**{name: value}))
    assert (caught.value.code, caught.value.param) == (Code.INVALID_REQUEST, name)


def test_a_client_of_messages_reads_the_name_that_it_sent() -> None:
    sent = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}], "stop_sequences": ["X"]}
    with pytest.raises(ChatError) as caught:
        body_of(read_message(json.dumps(sent).encode(), WITH_SAMPLING, None).request)
    assert caught.value.param == "stop_sequences"


SEALED = {"type": "reasoning", "summary": [], "encrypted_content": "gAAA=="}


def of_responses(before: list[tuple[dict[str, Any], str]], **fields: Any) -> ChatRequest:  # noqa: ANN401  # of a body
    body = msgspec.Raw(json.dumps({"model": "m", **fields}).encode())
    items = tuple((json.dumps(item), model) for item, model in before)
    return ChatRequest("m", (HI,), sent=Sent(RESPONSES, body, 1, before=items))


def test_the_items_before_stand_in_front_of_those_of_the_request() -> None:
    before = {"type": "of_next_year", "value": 1}
    assert body_of(of_responses([(before, "")], input="Hi"))["input"] == [
        before,
        {"type": "message", "role": "user", "content": "Hi"},
    ]
    assert body_of(of_responses([], input="Hi"))["input"] == "Hi"
    assert body_of(of_responses([(before, "")]))["input"] == [before]


def test_encrypted_reasoning_goes_back_to_its_own_model_alone() -> None:
    text = {"type": "message", "role": "assistant", "content": "I said encrypted_content."}
    of_this, of_another = (of_responses([(SEALED, model), (text, model)], input="Hi") for model in ("m", "other"))
    assert body_of(of_this)["input"][:2] == [SEALED, text]
    assert body_of(of_this)["include"] == ["reasoning.encrypted_content"]
    assert body_of(of_another)["input"][:1] == [text]


def test_our_summary_is_a_message_and_our_seal_is_not_sent() -> None:
    summary = {"type": "compaction", "encrypted_content": sealed_summary("They met.")}
    ours = {**SEALED, "encrypted_content": "chatfleet.1.W10="}
    own = of_responses([], input=[summary, ours, SEALED])
    for request in (own, of_responses([(summary, ""), (ours, "")], input=[SEALED])):
        message, *rest = body_of(request)["input"]
        assert message["content"].endswith("They met.")
        assert rest == [SEALED]


def test_parameters_of_the_catalogue_are_sent_where_the_request_has_none() -> None:
    request = msgspec.structs.replace(of_responses([], input="Hi", temperature=0.1), temperature=0.9, max_tokens=7)
    body = body_of(request)
    assert (body["temperature"], body["max_output_tokens"]) == (0.1, 7)
