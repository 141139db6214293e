"""Readers get what they lack of an answer that was stored whole, with its reasoning and its calls of tools."""

from collections.abc import Sequence

import pytest

from chatfleet_api.chat.missing import missing_pieces
from chatfleet_api.chat.reply import Reply
from chatfleet_api.chat.takeover import remainder
from chatfleet_api.chat.turn import final_message
from chatfleet_api.domain.errors import Code
from chatfleet_api.domain.events import (
    AgentUsage,
    Citation,
    Complete,
    Failed,
    Piece,
    Reasoning,
    Signature,
    Start,
    Token,
    ToolCall,
    Usage,
)
from chatfleet_api.sessions.store import StoredMessage

SIGNED = Reasoning("", signature=Signature("claude", "s"))
THOUGHT = (Reasoning("Hm, "), Reasoning("so."), SIGNED)
TEXT = (Token("Let me "), Token("see."))
CALLS = (
    *(ToolCall(0, "c1", "add", '{"a"'), ToolCall(0, arguments=":1}")),
    *(ToolCall(1, "c2", "run", custom=True), ToolCall(1, arguments="x")),
)
START = Start("r", "m", 0)
END = Complete(
    "tool_calls",
    Usage(1, 1),
    5,
    citations=(Citation("desk/a.md", 1, 2.5),),
    retrieval="by_words",
    agents=(AgentUsage("billing", Usage(1, 1)),),
)


def stored(pieces: Sequence[Piece]) -> StoredMessage:
    pending = StoredMessage("a", "assistant", "", "", "pending", "r")
    return final_message(pending, Reply(lambda: 0.0, pieces), END)


@pytest.mark.parametrize("pieces", [(*THOUGHT, *TEXT, *CALLS), (*THOUGHT[:2], *CALLS), TEXT, CALLS, ()])
def test_an_answer_goes_on_after_each_of_its_pieces(pieces: tuple[Piece, ...]) -> None:
    whole = stored(pieces)
    for seen in range(len(pieces) + 1):
        rest = missing_pieces(pieces[:seen], whole)
        assert rest is not None
        assert stored((*pieces[:seen], *rest)) == whole
        *shown, end = remainder((START, *pieces[:seen]), whole)
        assert (tuple(shown), end) == (rest, END)


@pytest.mark.parametrize(
    "seen",
    [
        (Token("Another"),),
        (*THOUGHT, *TEXT, Token(" And more.")),
        (*TEXT, *CALLS),
        (*THOUGHT, *TEXT, ToolCall(0, "c9", "add")),
        (*THOUGHT, *TEXT, *CALLS, ToolCall(2, "c3", "add")),
    ],
)
def test_another_answer_does_not_go_on_and_its_readers_learn_it(seen: tuple[Piece, ...]) -> None:
    whole = stored((*THOUGHT, *TEXT, *CALLS))
    assert missing_pieces(seen, whole) is None
    (end,) = remainder((START, *seen), whole)
    assert isinstance(end, Failed)
    assert (end.code, end.partial_saved) == (Code.INTERRUPTED, True)
