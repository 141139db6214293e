"""Which run of a conversation a reader joins."""

import pytest

from chatfleet_api.chat.joining import LastSeen, joinable_run
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.sessions.store import StoredMessage

NOW = "2026-01-01T00:00:00.000+00:00"
MESSAGES = (
    StoredMessage("m1", "user", "hi", NOW),
    StoredMessage("m2", "assistant", "a", NOW, run="r1"),
    StoredMessage("m3", "user", "and then?", NOW),
    StoredMessage("m4", "assistant", "", NOW, run="r2", status="pending"),
)


@pytest.mark.parametrize(
    ("seen", "run"), [(None, "r2"), (LastSeen(None, 3), "r2"), (LastSeen("r1", 3), "r1"), (LastSeen("r2", 0), "r2")]
)
def test_a_reader_joins_the_newest_run_or_resumes_its_own(seen: LastSeen | None, run: str) -> None:
    assert joinable_run(MESSAGES, seen) == run


def test_there_is_nothing_to_join_before_the_first_answer() -> None:
    assert joinable_run(MESSAGES[:1], None) is None


def test_a_run_of_another_conversation_is_not_found() -> None:
    with pytest.raises(ChatError) as caught:
        joinable_run(MESSAGES, LastSeen("r3", 1))
    assert caught.value.code is Code.NOT_FOUND
