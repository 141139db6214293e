"""The parameters of a request in its response: all of them, in each snapshot, whoever encodes it."""

import json
from typing import Any, Final

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Complete, Event, Failed, Start, Token, Usage
from chatfleet_api.runs.tail import Batch
from chatfleet_api.web.dialects.responses.encode import ResponseEncoder
from chatfleet_api.web.dialects.responses.request import ResponseRequest, read_response

REQUIRED: Final = {
    "id",
    "object",
    "created_at",
    "completed_at",
    "status",
    "incomplete_details",
    "model",
    "previous_response_id",
    "instructions",
    "output",
    "error",
    "tools",
    "tool_choice",
    "truncation",
    "parallel_tool_calls",
    "text",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "top_logprobs",
    "temperature",
    "reasoning",
    "usage",
    "max_output_tokens",
    "max_tool_calls",
    "store",
    "background",
    "service_tier",
    "metadata",
    "safety_identifier",
    "prompt_cache_key",
}
"""What Open Responses requires of a `ResponseResource`."""
NUMBERS: Final = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "top_logprobs")
SCHEMA: Final = {"type": "object", "properties": {"a": {"type": "integer"}}}
SENT: Final[dict[str, Any]] = {
    "instructions": "Be brief.",
    "metadata": {"a": "b"},
    "max_output_tokens": 9,
    "max_tool_calls": 2,
    "temperature": 0.5,
    "top_p": 0.25,
    "parallel_tool_calls": False,
    "tool_choice": "none",
    "prompt_cache_key": "k",
    "safety_identifier": "s",
    "user": "u",
    "background": True,
    "reasoning": {"effort": "low"},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}},
}
SHOWN: Final = SENT | {
    "conversation": None,
    "previous_response_id": None,
    "store": True,
    "reasoning": {"effort": "low", "summary": None},
    "text": {**SENT["text"], "verbosity": "medium"},
}


def read(**sent: Any) -> ResponseRequest:  # noqa: ANN401  # any JSON
    return read_response(json.dumps({"model": "m", "input": "Hi"} | sent).encode())


def snapshots(ending: Event, **sent: Any) -> list[dict[str, Any]]:  # noqa: ANN401  # any JSON
    """Return the response in each event that has it."""
    events = (Start("r", "m", 7, echo=read(**sent).new.echo), Token("Hello"), ending)
    frames = ResponseEncoder().encode(Batch(1, events)).decode().splitlines()
    datas = [json.loads(line.removeprefix("data: ")) for line in frames if line.startswith("data: ")]
    return [data["response"] for data in datas if "response" in data]


@pytest.mark.parametrize("ending", [Complete("stop", Usage(), 1500), Failed.of(ChatError(Code.UPSTREAM_TRUNCATED))])
@pytest.mark.parametrize("sent", [{}, SENT])
def test_each_snapshot_has_every_required_field(ending: Event, sent: dict[str, Any]) -> None:
    shown = snapshots(ending, **sent)
    assert len(shown) == 3
    for each in shown:
        assert set(each) >= REQUIRED
        assert all(isinstance(each[name], int | float) for name in NUMBERS)


def test_each_snapshot_shows_what_was_sent() -> None:
    for each in snapshots(Complete("stop", Usage(), 1500), **SENT):
        assert {name: each[name] for name in SHOWN} == SHOWN


def test_a_response_has_the_second_of_its_completion_once_it_is_complete() -> None:
    seen = [each["completed_at"] for each in snapshots(Complete("stop", Usage(), 1500))]
    assert seen == [None, None, 9]
    assert snapshots(Complete("length", Usage(), 1500))[-1]["completed_at"] is None


def test_a_schema_reaches_the_model() -> None:
    schema = {"name": "n", "schema": SCHEMA, "strict": True}
    assert read(**SENT).new.request.response_format == {"type": "json_schema", "json_schema": schema}
    json_object = {"format": {"type": "json_object"}}
    assert read(text=json_object).new.request.response_format == {"type": "json_object"}


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        ({"metadata": {"k" * 65: "v"}}, "metadata"),
        ({"metadata": {"k": "v" * 513}}, "metadata"),
        ({"metadata": {str(number): "v" for number in range(17)}}, "metadata"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
    ],
)
def test_what_the_vendor_does_not_take_is_refused_by_field(sent: dict[str, Any], param: str) -> None:
    with pytest.raises(ChatError) as caught:
        read(**sent)
    assert caught.value.code is Code.INVALID_REQUEST
    assert str(caught.value.param).startswith(param)
