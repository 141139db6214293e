"""Requests for embeddings: checked where they are known, and passed on as they came."""

import json
from typing import Any

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.web.dialects.openai.embeddings import MAX_INPUTS, read_embeddings

LEAST: dict[str, Any] = {"model": "m", "input": "Hi"}


@pytest.mark.parametrize("sent", ["Hi", ["Hi", "there"], [1, 2], [[1], [2, 3]]])
def test_texts_and_tokens_are_taken(sent: object) -> None:
    read = read_embeddings(json.dumps(LEAST | {"input": sent}).encode())
    assert (read.model, read.encoding) == ("m", "float")
    assert json.loads(bytes(read.fields["input"])) == sent


def test_fields_that_are_not_known_here_are_passed_on() -> None:
    sent = LEAST | {"encoding_format": "base64", "dimensions": 8, "user": "u", "input_type": "query"}
    read = read_embeddings(json.dumps(sent).encode())
    assert read.encoding == "base64"
    assert {name: json.loads(bytes(value)) for name, value in read.fields.items()} == sent


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        ({"model": None}, "model"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": ["x"] * (MAX_INPUTS + 1)}, "input"),
        ({"input": [{}]}, "input[0]"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"dimensions": 0}, "dimensions"),
    ],
)
def test_a_wrong_value_is_refused_by_field(sent: dict[str, Any], param: str) -> None:
    with pytest.raises(ChatError) as caught:
        read_embeddings(json.dumps(LEAST | sent).encode())
    assert (caught.value.code, caught.value.param) == (Code.INVALID_REQUEST, param)
