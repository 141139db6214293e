"""Decisions about calls: which answer waits for them, and what the answer gets that goes on."""

import json

import pytest
from msgspec.structs import replace

from chatfleet_api.chat.decisions import (
    Decision,
    answer_after,
    decisions_of,
    passed,
    paused_answer,
    resumption_of,
    waiting_calls,
)
from chatfleet_api.chat.items import new_item
from chatfleet_api.chat.reply import Reply
from chatfleet_api.chat.steps import answered
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import (
    Agent,
    RequiresAction,
    ServerToolCall,
    ServerToolEvent,
    ServerToolResult,
    Thought,
    Token,
)
from chatfleet_api.domain.request import Message
from chatfleet_api.sessions.store import PlacedToolEvent, StoredMessage
from chatfleet_api.web.dialects.responses.items import items_of

SEARCH = ServerToolCall(1, "c1", "tickets__search", "tickets", "search", "{}")
CREATE = ServerToolCall(2, "c2", "tickets__create", "tickets", "create", "{}", approval="mcpar_1")
FREE = ServerToolCall(2, "c3", "docs__find", "docs", "find", "{}")
YES, NO = Decision("mcpar_1", True), Decision("mcpar_1", False, "Too dear.")  # noqa: FBT003


def message(ident: str, role: str = "user", content: str = "", **more: object) -> StoredMessage:
    return StoredMessage(ident, role, content, "", **more)  # type: ignore[arg-type]


def paused(ident: str = "p", *calls: ServerToolCall) -> StoredMessage:
    """Return an answer that has searched, and waits."""
    waiting = RequiresAction(calls or (CREATE, FREE))
    events: tuple[ServerToolEvent, ...] = (SEARCH, ServerToolResult("c1", "found"), waiting)
    placed = [PlacedToolEvent(at, event) for at, event in zip((4, 4, 8), events, strict=True)]
    return message(
        ident, "assistant", "One.Two.", run="r", server_tools=placed, finish_reason="requires_action", model="m"
    )


BEFORE = (message("q0", content="hi"), message("a0", "assistant", "hello", run="r0"))
PATH = (*BEFORE, message("q", content="buy"), paused())


def refused(*decisions: Decision, path: tuple[StoredMessage, ...] = PATH) -> ChatError:
    with pytest.raises(ChatError) as error:
        resumption_of(path, decisions)
    return error.value


def test_an_answer_goes_on_after_its_finished_steps_with_the_calls_of_the_open_one() -> None:
    resumption = resumption_of(PATH, [YES])

    assert resumption.before == len(BEFORE)
    question, said, result = resumption.messages
    assert (question, said.content, result) == (
        Message("user", "buy"),
        "One.",
        Message("tool", "found", tool_call_id="c1"),
    )
    step = resumption.step
    assert (step.text, step.calls, step.refusals, step.number) == ("Two.", (CREATE, FREE), (), 2)


def test_a_refusal_is_the_result_that_the_model_gets() -> None:
    (result,) = resumption_of(PATH, [NO]).step.refusals
    assert (result.id, result.is_error) == ("c2", True)
    assert result.content == "The tool was not called. A person has refused this call. Reason: Too dear."


def test_an_answer_that_pauses_again_goes_on_after_the_steps_of_both() -> None:
    first = replace(paused(), decided="p2")
    again = ServerToolCall(3, "c4", "tickets__create", "tickets", "create", "{}", approval="mcpar_2")
    made = (replace(CREATE, thoughts=(Thought("hm"),)), FREE)
    results = (ServerToolResult("c2", "made"), ServerToolResult("c3", "x"))
    events = [PlacedToolEvent(0, event) for event in (*made, *results, RequiresAction((again,)))]
    decided = YES.item().stored("d", "")
    second = message("p2", "assistant", "", run="r2", server_tools=events, finish_reason="requires_action")
    resumption = resumption_of((*PATH[:-1], first, decided, second), [Decision("mcpar_2", True)])  # noqa: FBT003

    assert resumption.before == len(BEFORE)
    assert [each.content for each in resumption.messages] == ["buy", "One.", "found", "Two.", "made", "x"]
    assert resumption.messages[3].thoughts == [Thought("hm")]
    assert resumption.step.calls == (again,)


def test_an_answer_goes_on_with_the_hand_overs_before_its_pauses() -> None:
    log = (Agent("billing", "Named."), Token("One."), Agent("technical", "A crash.", (Thought("hm"),)), Token("Two."))
    reply = Reply(lambda: 0.0, answered(log))
    reply.note([RequiresAction((CREATE,))])
    first = message("p", "assistant", reply.text, run="r", server_tools=reply.server_tools, model="agent:technical")
    again = replace(CREATE, step=3, id="c4", approval="mcpar_2")
    reply = Reply(lambda: 0.0)
    reply.note([Agent("technical", "Named."), CREATE, ServerToolResult("c2", "made"), RequiresAction((again,))])
    second = message("p2", "assistant", "", run="r2", server_tools=reply.server_tools, model="agent:technical")
    once = resumption_of((*PATH[:-1], first), [YES])
    path = (*PATH[:-1], replace(first, decided="p2"), YES.item().stored("d", ""), second)
    twice = resumption_of(path, [Decision("mcpar_2", True)])  # noqa: FBT003

    contents = ["buy", "One.", '{"assistant": "technical"}']
    assert [each.content for each in once.messages] == contents
    assert once.messages[1].thoughts == [Thought("hm")]
    assert [each.content for each in twice.messages] == [*contents, "Two.", "made"]
    assert [(each.step.text, each.step.handoffs, each.step.agent_since) for each in (once, twice)] == [
        *(("Two.", 1, 1), ("", 1, 1)),
    ]
    assert [item["type"] for item in items_of(None, first)] == [
        "message",
        "mcp_approval_request",
    ]


def test_an_answer_that_does_not_pause_is_stored_without_its_agents() -> None:
    reply = Reply(lambda: 0.0)
    reply.note([Agent("billing", "Named.")])
    assert (reply.model, reply.server_tools) == ("agent:billing", None)


def test_a_pause_that_was_passed_over_belongs_to_no_later_turn() -> None:
    path = (*PATH, message("q2", content="sell"), paused("p2"))
    resumption = resumption_of(path, [YES])
    assert (resumption.before, resumption.messages[0]) == (len(PATH), Message("user", "sell"))


def test_no_call_of_a_copy_waits_and_it_belongs_to_no_later_turn() -> None:
    *others, copy = passed(PATH)
    assert (tuple(others), waiting_calls(copy)) == (PATH[:-1], ())
    with pytest.raises(ChatError) as error:
        answer_after((*others, copy), copy, [YES])
    assert error.value.code is Code.NOT_FOUND
    resumption = resumption_of((*others, copy, message("q2", content="sell"), paused("p2")), [YES])
    assert resumption.messages[0] == Message("user", "sell")


def test_all_calls_that_wait_are_decided_once() -> None:
    both = (*PATH[:-1], paused("p", CREATE, replace(FREE, approval="mcpar_9")))
    missing, twice = refused(YES, path=both), refused(YES, YES)
    assert (missing.code, twice.code) == (Code.INVALID_REQUEST, Code.INVALID_REQUEST)
    assert "'mcpar_9' is missing" in missing.message
    assert "decided twice" in twice.message


@pytest.mark.parametrize(
    "stored",
    [
        PATH[:-1],
        (*PATH, message("q2")),
        (*PATH[:-1], replace(PATH[-1], server_tools=None)),
        (*PATH[:-1], paused("p", replace(CREATE, approval="mcpar_2"))),
    ],
    ids=["no pause", "another message came", "an import", "another call"],
)
def test_what_does_not_wait_is_unknown(stored: tuple[StoredMessage, ...]) -> None:
    with pytest.raises(ChatError) as error:
        paused_answer(stored, [YES])
    assert (error.value.code, "under this id" in error.value.message) == (Code.NOT_FOUND, True)


def test_an_answer_is_found_that_waits_or_has_waited() -> None:
    assert paused_answer(PATH, [YES]) is PATH[-1]
    decided = replace(PATH[-1], decided="a")
    assert paused_answer((*PATH[:-1], decided, message("d"), message("a", "assistant")), [YES]) is decided
    assert (waiting_calls(PATH[-1]), waiting_calls(decided), waiting_calls(PATH[0])) == ((CREATE,), (), ())


def test_the_same_decision_is_one_with_the_same_word_on_each_call() -> None:
    decided, answer = replace(PATH[-1], decided="a"), message("a", "assistant", run="r2")
    stored = (*PATH[:-1], decided, YES.item().stored("d", ""), answer, message("q2"))
    assert answer_after(stored, decided, [replace(YES, reason="Fine.")]) is answer
    with pytest.raises(ChatError) as error:
        answer_after(stored, decided, [NO])
    assert error.value.code is Code.INVALID_REQUEST


def test_a_decision_whose_answer_was_removed_is_unknown() -> None:
    decided = replace(PATH[-1], decided="a")
    with pytest.raises(ChatError) as error:
        answer_after((*PATH[:-1], decided), decided, [YES])
    assert error.value.code is Code.NOT_FOUND


def test_decisions_of_a_request_are_those_about_our_calls_and_come_alone() -> None:
    ours = '{"type":"mcp_approval_response","approval_request_id":"mcpar_1","approve":true,"id":null}'
    vendors = ours.replace("mcpar_", "mcpr_")
    items = {text: new_item(_read(text), text, "input[0]") for text in (ours, vendors)}
    assert decisions_of([items[ours]]) == (YES,)
    assert (items[ours].message, items[ours].untranslated, items[ours].role) == (None, (), "tool")
    assert decisions_of([items[vendors]]) == ()
    assert items[vendors].untranslated
    with pytest.raises(ChatError) as error:
        decisions_of([items[ours], items[vendors]])
    assert error.value.param == "input"


def _read(text: str) -> dict[str, object]:
    read: dict[str, object] = json.loads(text)
    return read
