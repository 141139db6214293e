"""What earlier messages mean for the next turn."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from chatfleet_api.chat import history
from chatfleet_api.domain.request import Affinity, Message
from chatfleet_api.runs.log.interface import RunState
from chatfleet_api.sessions.store import MessageStatus, StoredMessage

NOW = "2026-01-01T00:00:00.000+00:00"


def answer(content: str, status: MessageStatus = "complete") -> StoredMessage:
    return StoredMessage(f"{status}{content}", "assistant", content, NOW, status=status)


def test_the_model_is_told_all_that_the_user_saw() -> None:
    said = (
        StoredMessage("s", "system", "be kind", NOW),
        StoredMessage("u", "user", "hi", NOW),
        answer("hello"),
        answer("half", "cancelled"),
        answer("part", "failed"),
        answer("", "failed"),
        answer("", "pending"),
    )
    assert history.context(said).messages == (
        Message("system", "be kind"),
        Message("user", "hi"),
        Message("assistant", "hello"),
        Message("assistant", "half"),
        Message("assistant", "part"),
    )


def test_the_pending_answer_is_found_and_no_other() -> None:
    assert history.pending((answer("a"), answer("", "pending"))) == answer("", "pending")
    assert history.pending((answer("a"), answer("", "failed"))) is None


def test_a_prompt_may_be_in_the_cache_of_who_gave_the_newest_answer_for_an_hour() -> None:
    first, second = (replace(answer("a"), provider="p", upstream_model=model) for model in ("old", "new"))
    failed = answer("half", "failed")
    began = datetime.fromisoformat(NOW)
    young, old = began + timedelta(minutes=59), began + timedelta(minutes=61)
    assert history.affinity("c", (first, second, failed), young) == Affinity("c", "p", "new")
    assert history.affinity("c", (first, second, failed), old) == Affinity("c")
    assert history.affinity("c", (failed,), young) == Affinity("c")


@pytest.mark.parametrize(
    ("state", "age", "alive"),
    [
        ("open", 0, True),
        ("open", 599, True),
        ("open", 600, False),
        ("ended", 0, False),
        ("unknown", 4, True),
        ("unknown", 5, False),
    ],
)
def test_a_run_elsewhere_is_alive_while_it_can_be(state: RunState, age: float, *, alive: bool) -> None:
    assert history.may_be_alive(state, age, run_seconds=600) is alive


def test_the_age_of_a_message_is_in_seconds() -> None:
    assert history.age(answer("a"), datetime(2026, 1, 1, 0, 1, tzinfo=UTC)) == 60
