"""Which refusals are about a part of the usual request."""

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.providers.refusals import refused_part, with_remedy
from chatfleet_contract.spec.providers import Compatibility

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
