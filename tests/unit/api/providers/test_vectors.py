"""The vectors of an answer: in the form that the client asks for, all else as it came."""

import json
from typing import Any

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.providers.vectors import Encoding, vectors

FLOATS = [0.5, -1.0, 2.25]
BASE64 = "AAAAPwAAgL8AABBA"


def answer(embedding: object) -> bytes:
    data = [{"object": "embedding", "index": 0, "embedding": embedding, "new_field": {"a": 1}}]
    usage = {"prompt_tokens": 3, "total_tokens": 3, "details": {"b": 2}}
    return json.dumps({"object": "list", "data": data, "model": "upstream-1", "usage": usage, "extra": [1]}).encode()


def form(embedding: object, encoding: Encoding) -> Any:  # noqa: ANN401  # JSON
    found = vectors(answer(embedding), model="named", encoding=encoding)
    assert found.usage.input_tokens == 3
    return json.loads(found.body)


@pytest.mark.parametrize("sent", [FLOATS, BASE64], ids=["floats", "base64"])
@pytest.mark.parametrize(("encoding", "wanted"), [("float", FLOATS), ("base64", BASE64)])
def test_a_vector_has_the_form_that_is_asked_for_whatever_the_upstream_sends(
    sent: object, encoding: Encoding, wanted: object
) -> None:
    assert form(sent, encoding)["data"][0]["embedding"] == wanted


def test_all_else_is_as_it_came_but_for_the_name_of_the_model() -> None:
    found, sent = form(FLOATS, "float"), json.loads(answer(FLOATS))
    assert found == sent | {"model": "named"}


NOTHING = [
    b"",
    b"[]",
    b"{}",
    b'{"error":{"message":"no"}}',
    b'{"data":[{}]}',
    b'{"data":[{"embedding":{"a":1}}]}',
    b"\xff",
]


@pytest.mark.parametrize("broken", [*NOTHING, b'{"data":[{"embedding":"***"}]}', b'{"data":[{"embedding":"AAAA"}]}'])
def test_what_has_no_vectors_is_malformed(broken: bytes) -> None:
    with pytest.raises(ChatError) as caught:
        vectors(broken, model="m", encoding="float")
    assert caught.value.code is Code.UPSTREAM_MALFORMED


@pytest.mark.parametrize("broken", [*NOTHING, b'{"data":[{"embedding":["a"]}]}', b'{"data":[{"embedding":[1e39]}]}'])
def test_what_cannot_be_written_in_base64_is_malformed(broken: bytes) -> None:
    with pytest.raises(ChatError) as caught:
        vectors(broken, model="m", encoding="base64")
    assert caught.value.code is Code.UPSTREAM_MALFORMED
