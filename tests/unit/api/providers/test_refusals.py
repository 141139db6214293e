"""Which refusals are about the usual request, the key or the model, and how long they count."""

import pytest
from pydantic import SecretStr

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.providers.refusals import (
    REMEMBERED_SECONDS,
    Refusals,
    Verdict,
    refused_part,
    with_remedy,
)
from chatfleet_contract.spec.providers import Compatibility
from harness.clock import ManualClock

ALL = Compatibility()

WORDS = {
    "Your organization must be verified to stream this model. Please go to https://example.com.": "stream",
    "Unsupported value: 'stream' does not support true with this model.": "stream",
    "Streaming is not supported for this model": "stream",
    "This model does not support streaming.": "stream",
    "`stream` must be false": "stream",
    "stream mode is disabled": "stream",
    "Unsupported parameter: 'stream'": "stream",
    "Unrecognized request argument supplied: stream_options": "streamOptions",
    '[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs"}]': "streamOptions",
    "Could not download the image from the upstream server.": None,
    "The video stream in messages[0] is too long.": None,
    "temperature is not supported. Try another model.": None,
}


@pytest.mark.parametrize(("words", "part"), WORDS.items())
def test_a_refused_part_is_known_by_the_words_of_the_upstream(words: str, part: str | None) -> None:
    error = ChatError(Code.UPSTREAM_REJECTED, words, detail=f"HTTP 400 x: {words}")
    assert refused_part(error, ALL) == part


def test_what_was_not_sent_cannot_be_refused() -> None:
    options = ChatError(Code.UPSTREAM_REJECTED, "stream_options is unknown")
    stream = ChatError(Code.UPSTREAM_REJECTED, "Streaming is not supported")
    assert refused_part(options, Compatibility(stream_options=False)) is None
    assert refused_part(stream, Compatibility(stream=False)) is None


def test_the_words_reach_the_client_also_with_a_code_that_hides_them() -> None:
    error = ChatError(Code.UPSTREAM_AUTHENTICATION, detail="HTTP 403 x: Verify to stream.", retry_after=3)
    told = with_remedy(error, "stream")
    assert told.message == "Verify to stream. Set compatibility.stream of the provider to false."
    assert (told.code, told.retry_after) == (Code.UPSTREAM_AUTHENTICATION, 3)


NONE = Verdict(None, down=False)
KEY = SecretStr("k")


def test_an_upstream_is_down_only_when_all_that_was_requested_is_refused() -> None:
    refusals = Refusals(ALL, ManualClock())
    assert refusals.verdict(KEY) == NONE
    refusals.learned("a", ChatError(Code.UPSTREAM_AUTHENTICATION, detail="HTTP 401"), status=401, key=KEY)
    assert refusals.verdict(KEY) == Verdict("requests for model a fail: HTTP 401", down=True)
    refusals.learned("b", ChatError(Code.MODEL_NOT_FOUND, detail="HTTP 404"), status=404, key=KEY)
    assert not refusals.verdict(KEY).down
    refusals.answered("b")
    assert refusals.verdict(KEY) == Verdict("requests for model a fail: HTTP 401", down=False)


def test_a_refusal_ends_with_an_answer_another_key_or_time() -> None:
    clock = ManualClock()
    refusals, error = Refusals(ALL, clock), ChatError(Code.UPSTREAM_AUTHENTICATION)
    refusals.learned("a", error, status=401, key=KEY)
    assert refusals.verdict(KEY).down
    assert refusals.verdict(SecretStr("new")) == NONE
    clock.now += REMEMBERED_SECONDS + 1
    assert refusals.verdict(KEY) == NONE
    refusals.learned("a", error, status=401, key=KEY)
    refusals.answered("a")
    assert refusals.verdict(KEY) == NONE


@pytest.mark.parametrize("status", [400, 408, 429, 500, 503])
def test_what_may_be_about_one_request_or_moment_is_not_remembered(status: int) -> None:
    refusals = Refusals(ALL, ManualClock())
    error = ChatError(Code.UPSTREAM_REJECTED, "The prompt is odd.")
    assert refusals.learned("a", error, status=status, key=KEY) is error
    assert refusals.verdict(KEY) == NONE
