"""What was retrieved goes into a request in the common terms and, alike, in its client's own dialect."""

import json
from typing import Any

import msgspec
import pytest

from chatfleet_api.domain.request import (
    CHAT,
    MESSAGES,
    RESPONSES,
    ChatRequest,
    ImagePart,
    ImageURL,
    Message,
    Sent,
    TextPart,
    WireDialect,
)
from chatfleet_api.knowledge.contents import Passages
from chatfleet_api.knowledge.fence import fenced
from chatfleet_api.knowledge.index import Retrieved
from chatfleet_api.knowledge.prompt import RULE, grounded, questions_of

CHUNK = Retrieved("desk/refunds.md", 1, 2.0, "Refunds", "Within 14 days.")
FENCED = fenced([CHUNK])
FOUND = Passages("", (CHUNK,), (CHUNK,))
CORE = Passages("<core>", (), (CHUNK,))
IMAGE = ImagePart(ImageURL("https://example.com/a.png"))


def asked(*messages: Message, sent: Sent | None = None) -> ChatRequest:
    return ChatRequest("m", messages, sent=sent)


def sent(dialect: WireDialect, before: tuple[tuple[str, str], ...] = (), **fields: object) -> Sent:
    return Sent(dialect, msgspec.Raw(json.dumps(fields).encode()), 1, before=before)


def body(request: ChatRequest) -> dict[str, Any]:
    assert request.sent is not None
    fields: dict[str, Any] = json.loads(bytes(request.sent.body))
    return fields


def test_passages_go_before_the_words_of_the_user() -> None:
    request = grounded(
        asked(Message("user", "Old"), Message("assistant", "Yes"), Message("user", "Money back?")), FOUND
    )
    assert request.messages == (
        Message("system", RULE),
        Message("user", "Old"),
        Message("assistant", "Yes"),
        Message("user", f"{FENCED}\n\nMoney back?"),
    )
    assert not request.caches_instructions


def test_instructions_of_the_client_stay_in_one_message_after_ours() -> None:
    request = grounded(asked(Message("system", "Be brief."), Message("user", "Hi")), CORE)
    assert request.messages == (Message("system", f"{RULE}\n\n<core>\n\nBe brief."), Message("user", "Hi"))
    assert request.caches_instructions


def test_the_prefix_is_the_same_for_every_question() -> None:
    first, second = (grounded(asked(Message("user", text)), CORE).messages[0] for text in ("One", "Two"))
    assert first == second


def test_a_message_with_an_image_keeps_it() -> None:
    request = grounded(asked(Message("user", [TextPart("What is it?"), IMAGE])), FOUND)
    assert request.messages[-1].content == [TextPart(FENCED), TextPart("What is it?"), IMAGE]


def test_results_of_tools_after_the_question_stay_in_their_place() -> None:
    request = grounded(asked(Message("user", "Hi"), Message("tool", "4", tool_call_id="1")), FOUND)
    assert [message.role for message in request.messages] == ["system", "user", "tool"]
    assert request.messages[1].content == f"{FENCED}\n\nHi"


def test_questions_are_the_newest_texts_of_the_user() -> None:
    messages = (
        Message("user", "A"),
        Message("user", "B"),
        Message("assistant", "x"),
        Message("user", [TextPart("C"), IMAGE]),
    )
    assert questions_of(asked(*messages)) == ["B", "C"]


def test_a_body_of_chat_completions_gets_the_same_and_keeps_its_other_fields() -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "Hi"}], "name": "ada"}]
    request = grounded(asked(Message("user", "Hi"), sent=sent(CHAT, messages=messages, new_field=[1.5])), FOUND)
    assert body(request) == {
        "messages": [
            {"role": "system", "content": RULE},
            {"role": "user", "content": [{"type": "text", "text": FENCED}, *messages[0]["content"]], "name": "ada"},
        ],
        "new_field": [1.5],
    }
    assert request.sent is not None
    assert request.sent.messages == 2


def test_instructions_in_a_body_of_chat_completions_stay_one_message() -> None:
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    of = asked(Message("developer", "Be brief."), Message("user", "Hi"), sent=sent(CHAT, messages=messages))
    request = grounded(of, CORE)
    assert body(request)["messages"][0] == {"role": "developer", "content": f"{RULE}\n\n<core>\n\nBe brief."}
    assert request.sent is not None
    assert request.sent.messages == 1


@pytest.mark.parametrize(
    ("system", "after"),
    [
        ({}, []),
        ({"system": "Be brief."}, [{"type": "text", "text": "Be brief."}]),
        ({"system": [{"type": "text", "text": "Be brief."}]}, [{"type": "text", "text": "Be brief."}]),
    ],
)
def test_a_body_of_messages_gets_a_block_for_the_cache(system: dict[str, Any], after: list[Any]) -> None:
    messages = [{"role": "user", "content": "Hi"}]
    request = grounded(asked(Message("user", "Hi"), sent=sent(MESSAGES, messages=messages, **system)), CORE)
    ours = {"type": "text", "text": f"{RULE}\n\n<core>", "cache_control": {"type": "ephemeral"}}
    assert body(request) == {"messages": messages, "system": [ours, *after]}


def test_a_client_that_marks_its_own_cache_keeps_its_marks() -> None:
    mark = {"type": "ephemeral"}
    messages = [{"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": mark}]}]
    request = grounded(asked(Message("user", "Hi"), sent=sent(MESSAGES, messages=messages)), CORE)
    assert "cache_control" not in body(request)["system"][0]


def test_results_of_tools_stay_first_in_a_message_of_anthropic() -> None:
    result = {"type": "tool_result", "tool_use_id": "1", "content": "4"}
    messages = [
        {"role": "user", "content": [result, {"type": "text", "text": "And now?"}]},
        {"role": "assistant", "content": "x"},
        {"role": "user", "content": [result]},
    ]
    request = grounded(asked(Message("user", "And now?"), sent=sent(MESSAGES, messages=messages)), FOUND)
    assert body(request)["messages"][0]["content"] == [
        result,
        {"type": "text", "text": FENCED},
        {"type": "text", "text": "And now?"},
    ]
    assert body(request)["messages"][2] == messages[2]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("Hi", f"{FENCED}\n\nHi"),
        ([{"role": "user", "content": "Hi"}], [{"role": "user", "content": f"{FENCED}\n\nHi"}]),
        (
            [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}],
            [
                {
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_text", "text": FENCED}, {"type": "input_text", "text": "Hi"}],
                }
            ],
        ),
    ],
)
def test_a_body_of_responses_gets_the_same(given: object, expected: object) -> None:
    request = grounded(asked(Message("user", "Hi"), sent=sent(RESPONSES, input=given, instructions="Be brief.")), FOUND)
    assert body(request) == {"input": expected, "instructions": f"{RULE}\n\nBe brief."}


def test_a_response_that_only_has_results_of_tools_gets_them_with_the_question_before() -> None:
    question = json.dumps({"role": "user", "content": "Hi"})
    results = [{"type": "function_call_output", "call_id": "1", "output": "4"}]
    of = sent(RESPONSES, ((question, ""), ('{"type":"function_call"}', "gpt")), input=results)
    request = grounded(asked(Message("user", "Hi"), sent=of), FOUND)
    assert request.sent is not None
    assert [json.loads(text) for text, _ in request.sent.before] == [
        {"role": "user", "content": f"{FENCED}\n\nHi"},
        {"type": "function_call"},
    ]
    assert body(request)["input"] == results
