"""Endings of a response that is read from a place in its middle."""

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Complete, Start, Token, Usage
from chatfleet_api.runs.tail import Batch
from chatfleet_api.web.dialects.responses.encode import ResponseEncoder
from chatfleet_api.web.dialects.responses.errors import error_frame

ANSWER = Batch(1, (Start("r", "m", 0), Token("Hello"), Complete("stop", Usage(), 1)))
LAST = 8
"""Number of its last event: created, in_progress, two for the message, its text, three that close it, completed."""


def test_who_has_seen_the_last_event_gets_nothing_more() -> None:
    assert ResponseEncoder(after=LAST).encode(ANSWER) == b""
    assert b"response.completed" in ResponseEncoder(after=LAST - 1).encode(ANSWER)


def test_who_has_seen_more_than_there_is_is_told_so() -> None:
    with pytest.raises(ChatError) as caught:
        ResponseEncoder(after=LAST + 1).encode(ANSWER)

    assert caught.value.code is Code.NOT_FOUND


def test_a_log_that_breaks_off_before_the_place_is_told_all_the_same() -> None:
    encoder = ResponseEncoder(after=6)
    encoder.encode(Batch(1, ANSWER.events[:2]))

    told = encoder.error_frame(ChatError(Code.STORAGE_UNAVAILABLE))

    assert told.startswith(b"event: error\n")
    assert b'"sequence_number":7' in told


def test_a_stream_that_never_got_a_run_ends_with_its_error() -> None:
    event = error_frame(ChatError(Code.STARTING), "q1")
    assert event.startswith(b'event: error\ndata: {"type":"error","code":"starting"')
    assert event.endswith(b"}\n\n")
