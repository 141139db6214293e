"""What the scripted upstream sends, for each fault, in each wire format."""

from collections.abc import Sequence
from itertools import product

import pytest

from harness.upstream.playback import NOTHING, Playback, playback_of
from harness.upstream.script import Fault, FaultKind, Script
from harness.upstream.wire_formats import (
    AnthropicFormat,
    BedrockFormat,
    Message,
    OpenAIFormat,
    RefusedError,
    Request,
    ResponsesFormat,
    WireFormat,
)

FORMATS = (OpenAIFormat(), ResponsesFormat(), AnthropicFormat(), BedrockFormat())
EACH = pytest.mark.parametrize("wire_format", FORMATS, ids=["openai", "responses", "anthropic", "bedrock"])
TOKENS = 4


def asking(script: Script, *more: Message) -> Request:
    """Return a request for a script, with messages after it."""
    messages = [Message("user", "Hello."), Message("assistant", "Hi."), Message("user", script.question), *more]
    return Request("m", messages, stream=True, max_tokens=100)


def played(wire_format: WireFormat, faults: Sequence[Fault] = (), attempts: int = 0) -> Playback:
    """Return how an answer is played after so many attempts."""
    return playback_of(wire_format, asking(Script("k", TOKENS, faults=tuple(faults))), lambda _: attempts)[1]


def sent(performance: Playback) -> bytes:
    """Return all that is sent."""
    return b"".join(step.data for step in performance.steps)


@EACH
def test_without_a_fault_the_answer_is_whole(wire_format: WireFormat) -> None:
    performance = played(wire_format)
    assert performance.whole
    assert sum(step.tokens for step in performance.steps) == TOKENS
    assert sent(performance).endswith(wire_format.frames([""] * TOKENS).goodbye)


@EACH
def test_a_fault_strikes_only_its_own_attempt(wire_format: WireFormat) -> None:
    assert not played(wire_format, [Fault("end")]).whole
    assert played(wire_format, [Fault("end")], attempts=1).whole


@pytest.mark.parametrize(
    ("wire_format", "kind", "after"),
    list(product(FORMATS, ("reset", "cut", "end", "stall", "unreasoned", "error", "half"), (0, 2, TOKENS))),
)
def test_a_fault_strikes_after_its_tokens_and_before_the_reason_to_finish(
    wire_format: WireFormat, kind: FaultKind, after: int
) -> None:
    performance = played(wire_format, [Fault(kind, after)])
    assert not performance.whole
    assert sum(step.tokens for step in performance.steps) == after
    assert wire_format.frames([""] * TOKENS).finish not in sent(performance)


def test_the_last_word_of_responses_without_a_reason_is_not_that_of_success() -> None:
    performance = played(ResponsesFormat(), [Fault("unreasoned", 2)])
    assert b"response.incomplete" in sent(performance)
    assert b"response.completed" not in sent(performance)


@EACH
def test_half_an_event_is_never_a_whole_one(wire_format: WireFormat) -> None:
    for after in range(TOKENS + 1):
        half = played(wire_format, [Fault("half", after)]).steps[-1].data
        assert half
        assert b"\n\n" not in half


@EACH
def test_garbage_takes_the_place_of_one_event(wire_format: WireFormat) -> None:
    performance = played(wire_format, [Fault("garbage", 1)])
    assert wire_format.garbage in sent(performance)
    assert sum(step.tokens for step in performance.steps) == TOKENS - 1
    assert sent(performance).endswith(wire_format.frames([""] * TOKENS).goodbye)


@EACH
def test_some_faults_take_the_place_of_the_answer(wire_format: WireFormat) -> None:
    refused = played(wire_format, [Fault("status", status=429, retry_after="7")])
    assert (refused.status, refused.retry_after, refused.content_type) == (429, "7", "application/json")
    assert played(wire_format, [Fault("content_type")]).content_type == "text/html"
    assert sent(played(wire_format, [Fault("noise")])) == wire_format.garbage
    assert played(wire_format, [Fault("headers")]) is NOTHING


def test_anthropic_goes_on_from_an_assistants_last_message() -> None:
    script = Script("k", TOKENS)
    _, performance = playback_of(AnthropicFormat(), asking(script, Message("assistant", "k:0 k:1")), lambda _: 0)
    assert b'"text":" "' in sent(performance)
    assert b"k:1" not in sent(performance)
    assert b"k:2" in sent(performance)


def test_anthropic_refuses_a_beginning_that_ends_in_a_space() -> None:
    with pytest.raises(RefusedError, match="trailing whitespace"):
        playback_of(AnthropicFormat(), asking(Script("k", TOKENS), Message("assistant", "k:0 ")), lambda _: 0)


def test_openai_goes_on_only_when_the_request_says_so() -> None:
    request = asking(Script("k", TOKENS), Message("assistant", "k:0 "))
    _, anew = playback_of(OpenAIFormat(), request, lambda _: 0)
    continued = Request(
        request.model, request.messages, stream=True, continue_final_message=True, add_generation_prompt=False
    )
    _, further = playback_of(OpenAIFormat(), continued, lambda _: 0)
    assert b"k:0" in sent(anew)
    assert b"k:0" not in sent(further)
    assert b"k:1" in sent(further)


def test_openai_refuses_to_go_on_from_what_is_not_there() -> None:
    request = Request("m", [Message("user", Script("k", 1).question)], stream=True, continue_final_message=True)
    with pytest.raises(RefusedError, match="add_generation_prompt"):
        playback_of(OpenAIFormat(), request, lambda _: 0)


@EACH
def test_only_streams_are_played(wire_format: WireFormat) -> None:
    request = Request("m", [Message("user", Script("k", 1).question)], max_tokens=1)
    with pytest.raises(RefusedError, match="only streams"):
        playback_of(wire_format, request, lambda _: 0)
