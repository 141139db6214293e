"""The messages of an input: texts, images and refusals reach the model; an image without an address is refused."""

import json
from typing import Any, Literal, get_args

import pytest
from openai.types.responses.response_input_image import ResponseInputImage

from chatfleet_api.chat.items import joined
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import (
    CHAT,
    ContentPart,
    CustomInput,
    CustomToolCall,
    Function,
    ImagePart,
    ImageURL,
    Message,
    MessageToolCall,
    TextPart,
)
from chatfleet_api.providers.own_dialect import require_translated
from chatfleet_api.web.dialects.responses.request import read_response

URL = "https://example.com/a.png"
IMAGE = {"type": "input_image", "image_url": URL}
DETAILS = get_args(ResponseInputImage.model_fields["detail"].annotation)
SEE = {"type": "input_text", "text": "See: "}


def messages(*items: dict[str, Any]) -> tuple[Message, ...]:
    """Return what an upstream of another dialect gets."""
    new = read_response(json.dumps({"model": "m", "input": items}).encode()).new
    require_translated(new.request, CHAT)
    return joined(new.messages)


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def test_text_in_parts_is_one_text() -> None:
    assert messages(user(SEE, SEE)) == (Message("user", "See: See: "),)


@pytest.mark.parametrize("detail", [*DETAILS, None])
def test_an_image_reaches_the_model_with_its_detail(detail: Literal["auto", "low", "high", "original"] | None) -> None:
    parts: list[ContentPart] = [TextPart("See: "), ImagePart(ImageURL(URL, detail))]
    assert messages(user(SEE, IMAGE | {"detail": detail, "file_id": None})) == (Message("user", parts),)


def test_the_vendors_details_are_known() -> None:
    assert set(DETAILS) == {"auto", "low", "high", "original"}


def test_a_refusal_of_an_earlier_answer_is_its_text() -> None:
    parts = [{"type": "output_text", "text": "Well. "}, {"type": "refusal", "refusal": "No."}]
    assert messages({"role": "assistant", "content": parts}) == (Message("assistant", "Well. No."),)


@pytest.mark.parametrize(
    ("image", "field"),
    [
        ({"file_id": "file_1"}, "file_id"),
        ({"file_id": "file_1", "image_url": URL}, "file_id"),
        ({}, "image_url"),
        ({"image_url": None}, "image_url"),
        ({"image_url": URL, "detail": "blurred"}, "detail"),
    ],
)
def test_an_image_that_has_no_address_is_refused_by_field(image: dict[str, Any], field: str) -> None:
    with pytest.raises(ChatError) as caught:
        messages(user(SEE), user(SEE, {"type": "input_image", **image}))
    assert (caught.value.code, caught.value.param) == (Code.INVALID_REQUEST, f"input[1].content[1].{field}")


def test_calls_of_tools_and_their_results_reach_the_model_as_one_answer_and_its_results() -> None:
    assert messages(
        {"role": "user", "content": "Add."},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "abc"},
        {"role": "assistant", "content": "Let me see."},
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "c1",
            "name": "add",
            "arguments": "{}",
            "status": "completed",
        },
        {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c2", "name": "run", "input": "1+1"},
        {"type": "function_call_output", "call_id": "c1", "output": "2"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": [SEE, IMAGE]},
        {"type": "function_call", "call_id": "c3", "name": "add", "arguments": "{}"},
    ) == (
        Message("user", "Add."),
        Message(
            "assistant",
            "Let me see.",
            tool_calls=[MessageToolCall("c1", Function("add", "{}")), CustomToolCall("c2", CustomInput("run", "1+1"))],
        ),
        Message("tool", "2", tool_call_id="c1"),
        Message("tool", [TextPart("See: "), ImagePart(ImageURL(URL))], tool_call_id="c2"),
        Message("assistant", tool_calls=[MessageToolCall("c3", Function("add", "{}"))]),
    )


@pytest.mark.parametrize(
    ("item", "field"),
    [
        ({"type": "function_call", "call_id": "c1", "name": "add"}, ".arguments"),
        ({"type": "function_call_output", "call_id": "c1", "output": 4}, ".output"),
        (
            {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_file", "file_id": "f"}]},
            ".output[0]",
        ),
        ({"type": "custom_tool_call", "call_id": 1, "name": "add", "input": ""}, ".call_id"),
        ({"type": "mcp_call", "id": "mcp_1"}, ""),
        ({"type": "of_next_year"}, ""),
        ({"role": "tool", "content": "4"}, ".role"),
        ({"type": 7}, ""),
    ],
)
def test_an_item_that_no_model_can_get_is_refused_by_field(item: dict[str, Any], field: str) -> None:
    with pytest.raises(ChatError) as caught:
        messages(user(SEE), item)
    assert (caught.value.code, caught.value.param) == (Code.INVALID_REQUEST, f"input[1]{field}")
