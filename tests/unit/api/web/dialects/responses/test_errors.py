"""An error names the field that the client of this API has sent, whichever words its upstream has for it."""

import json

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.web.dialects.responses.errors import error_body


@pytest.mark.parametrize(
    ("common", "own"),
    [
        ("messages", "input"),
        ("messages[0].content", "input[0].content"),
        ("response_format", "text.format"),
        ("max_tokens", "max_output_tokens"),
        ("reasoning_effort", "reasoning.effort"),
        ("temperature", "temperature"),
        ("max_tokens_of_others", "max_tokens_of_others"),
        (None, None),
    ],
)
def test_a_field_of_the_common_terms_has_the_name_of_this_api(common: str | None, own: str | None) -> None:
    body = error_body(ChatError(Code.INVALID_REQUEST, f"Unsupported value: '{common}'. Omit it.", param=common))
    error = json.loads(body)["error"]
    assert (error["param"], error["message"]) == (own, f"Unsupported value: '{own}'. Omit it.")


def test_a_path_that_the_message_names_without_quotes_is_renamed_too() -> None:
    path = "messages[0].tool_calls[0].function.arguments"
    error = ChatError(Code.INVALID_REQUEST, f"{path} must be a JSON object", param=path)
    assert json.loads(error_body(error))["error"]["message"].startswith("input[0].")
