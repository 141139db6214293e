"""One table has the words with which vendors end an answer, for every dialect."""

from collections.abc import Sequence

import msgspec
import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import FinishReason
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.providers.finish_reasons import FINISH_REASONS
from chatfleet_api.providers.provider import Finish, StreamItem
from chatfleet_api.providers.vendor import StreamParser
from chatfleet_api.providers.vendors.anthropic.stream import MessageParser
from chatfleet_api.providers.vendors.openai.stream import CompletionParser

REQUEST = ChatRequest("m", (Message("user", "Hi."),))


def openai(*words: str) -> FinishReason:
    return reason_of(CompletionParser(REQUEST), [{"choices": [{"delta": {}, "finish_reason": word}]} for word in words])


def anthropic(*words: str) -> FinishReason:
    ends = [{"type": "message_delta", "delta": {"stop_reason": word}} for word in words]
    return reason_of(MessageParser(REQUEST), [{"type": "message_start"}, *ends, {"type": "message_stop"}])


def reason_of(parser: StreamParser, events: Sequence[object]) -> FinishReason:
    items = list[StreamItem]()
    for event in events:
        parser.read(msgspec.json.encode(event), items)
    last = items[-1] if parser.done else parser.end()
    assert isinstance(last, Finish)
    return last.reason


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("IMAGE_SAFETY", "content_filter"),
        ("IMAGE_PROHIBITED_CONTENT", "content_filter"),
        ("MODEL_ARMOR", "content_filter"),
        ("max_output_tokens", "length"),
        ("token_limit", "length"),
        ("ERROR_LIMIT", "length"),
        ("model_length", "length"),
        ("guardrail_intervened", "content_filter"),
        ("COMPLETE", "stop"),
        ("FINISH", "stop"),
        ("eos", "stop"),
        ("end_turn", "stop"),
        ("function_call", "tool_calls"),
        ("TOOL_CALL", "tool_calls"),
    ],
)
def test_a_documented_word_is_an_end_in_both_dialects(word: str, reason: FinishReason) -> None:
    assert openai(word) == anthropic(word) == reason


@pytest.mark.parametrize("word", FINISH_REASONS)
def test_both_dialects_know_the_same_words_in_any_case(word: str) -> None:
    assert openai(word) == anthropic(word) == openai(word.upper()) == anthropic(word.upper())


@pytest.mark.parametrize("word", ["pause_turn", "MALFORMED_FUNCTION_CALL", "malformed_model_output", "OTHER", "error"])
def test_other_words_prove_nothing(word: str) -> None:
    for end in (openai, anthropic):
        with pytest.raises(ChatError) as caught:
            end(word)
        assert caught.value.code is Code.UPSTREAM_TRUNCATED


def test_a_word_for_an_answer_that_goes_on_is_no_end() -> None:
    assert openai("null", "stop") == openai("NOT_FINISHED", "stop") == "stop"
    with pytest.raises(ChatError):
        openai("null")
