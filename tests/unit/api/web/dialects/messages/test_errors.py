"""An error names the field that the client of this API has sent, whichever words its upstream has for it."""

import json

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.web.dialects.messages.errors import error_body


@pytest.mark.parametrize(
    ("common", "own"),
    [
        ("reasoning_effort", "thinking"),
        ("parallel_tool_calls", "tool_choice.disable_parallel_tool_use"),
        ("response_format", "output_config.format"),
        ("stop", "stop_sequences"),
        ("stop_sequences", "stop_sequences"),
        ("messages[0].content", "messages[0].content"),
    ],
)
def test_a_field_of_the_common_terms_has_the_name_of_this_api(common: str, own: str) -> None:
    body = error_body(ChatError(Code.INVALID_REQUEST, f"Unsupported value: '{common}'. Omit it.", param=common), "q1")
    error = json.loads(body)["error"]
    assert (error["details"]["param"], error["message"]) == (own, f"Unsupported value: '{own}'. Omit it.")
