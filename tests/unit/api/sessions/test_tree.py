"""The messages of a conversation as a tree: what follows what, and which path is the current one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from chatfleet_api.sessions.store import Conversation, Head, StoredMessage, removed
from chatfleet_api.sessions.tree import ROOT, after, current_head, current_path, newest, parents, path_to, question_of

NOW = "2026-01-01T00:00:00.000+00:00"
KNOWN = Conversation("c", None, None, {}, NOW, NOW)


def message(ident: str, parent: str | None = None) -> StoredMessage:
    return StoredMessage(ident, "user" if ident[0] == "q" else "assistant", ident, NOW, parent=parent)


def ids(messages: tuple[StoredMessage, ...]) -> str:
    return " ".join(each.id for each in messages)


LINE = (message("q1"), message("a1"), message("q2"), message("a2"))
EDITED = (*LINE, message("q1b", ROOT), message("a1b"), message("a1c", "q1b"))


def test_messages_that_name_no_parent_are_a_line() -> None:
    assert parents(LINE) == {"q1": ROOT, "a1": "q1", "q2": "a1", "a2": "q2"}
    assert current_path(KNOWN, LINE) == LINE
    assert current_path(KNOWN, ()) == ()


@pytest.mark.parametrize(
    ("end", "path"),
    [("a2", "q1 a1 q2 a2"), ("a1b", "q1b a1b"), ("a1c", "q1b a1c"), ("q2", "q1 a1 q2"), (ROOT, ""), ("other", "")],
)
def test_a_path_goes_from_a_first_message_to_its_end(end: str, path: str) -> None:
    assert ids(path_to(EDITED, end)) == path


def test_the_current_path_ends_with_the_newest_message_or_the_one_that_was_chosen_after_it() -> None:
    assert current_head(KNOWN, EDITED) == "a1c"
    chosen = replace(KNOWN, head=Head("a2", "a1c"))
    assert ids(current_path(chosen, EDITED)) == "q1 a1 q2 a2"
    assert current_head(chosen, (*EDITED, message("q3", "a2"))) == "q3"
    assert current_head(replace(KNOWN, head=Head("gone", "a1c")), EDITED) == "a1c"


def test_a_parent_that_is_not_before_a_message_is_none() -> None:
    assert parents((message("q1", "a1"), message("a1"), message("q2", "q2"))) == {"q1": ROOT, "a1": "q1", "q2": "a1"}


@pytest.mark.parametrize(("of", "question"), [("a1b", "q1b"), ("q2", "q2"), ("a2", "q2"), ("x", None)])
def test_an_answer_has_a_question(of: str, question: str | None) -> None:
    assert question_of(EDITED, of) == question
    assert question_of((message("a0"), message("a1")), "a1") is None


def test_what_followed_a_removed_message_follows_the_one_before_it() -> None:
    gone = removed("a1b")
    entries = (*EDITED[:5], gone, message("q2b"), message("a1c", "q1b"), message("q2c", "a1b"))
    assert parents(newest(entries)) == {**parents(LINE), "q1b": ROOT, "q2b": "q1b", "a1c": "q1b", "q2c": "q1b"}


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[StoredMessage], dict[str, str]]:
    """Return entries as they are stored while turns go on anywhere and messages are removed, and who follows whom."""
    entries: list[StoredMessage] = []
    above: dict[str, str] = {}
    for turn in range(draw(st.integers(1, 8))):
        stored = newest(entries)
        if stored and draw(st.integers(0, 3)) == 0:
            gone = draw(st.sampled_from(stored))
            place = next(at for at, entry in enumerate(entries) if entry.id == gone.id)
            entries[place] = removed(gone.id, gone.parent)
            parent = above.pop(gone.id)
            above = {ident: parent if before == gone.id else before for ident, before in above.items()}
            continue
        end = draw(st.sampled_from([ROOT, *(each.id for each in stored)]))
        question, answer = message(f"q{turn}"), message(f"a{turn}")
        entries += after(stored, end, (question, answer))
        above |= {question.id: end, answer.id: question.id}
    return entries, above


@settings(max_examples=300)
@given(history=histories())
def test_the_tree_is_that_of_the_turns_that_were_made(history: tuple[list[StoredMessage], dict[str, str]]) -> None:
    entries, above = history
    assert parents(newest(entries)) == above
