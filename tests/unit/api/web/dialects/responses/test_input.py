"""The messages of an input: texts, images and refusals reach the model; an image without an address is refused."""

import json
from typing import Any, Literal, get_args

import pytest
from openai.types.responses.response_input_image import ResponseInputImage

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import ImagePart, ImageURL, Message, TextPart
from chatfleet_api.web.dialects.responses.request import read_response

URL = "https://example.com/a.png"
IMAGE = {"type": "input_image", "image_url": URL}
DETAILS = get_args(ResponseInputImage.model_fields["detail"].annotation)
SEE = {"type": "input_text", "text": "See: "}


def messages(*items: dict[str, Any]) -> tuple[Message, ...]:
    new = read_response(json.dumps({"model": "m", "input": items}).encode()).new
    return tuple(item.message for item in new.items)


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def test_text_in_parts_is_one_text() -> None:
    assert messages(user(SEE, SEE)) == (Message("user", "See: See: "),)


@pytest.mark.parametrize("detail", [*DETAILS, None])
def test_an_image_reaches_the_model_with_its_detail(detail: Literal["auto", "low", "high", "original"] | None) -> None:
    parts: list[TextPart | ImagePart] = [TextPart("See: "), ImagePart(ImageURL(URL, detail))]
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
