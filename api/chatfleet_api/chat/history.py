"""What a conversation's messages mean for its next turn: the model's context, and whether an answer is in progress."""

from collections.abc import Sequence
from datetime import datetime

from chatfleet_api.chat.items import message_of
from chatfleet_api.domain.request import Message
from chatfleet_api.runs.log.interface import RunState
from chatfleet_api.sessions.store import StoredMessage

UNSEEN_SECONDS = 5.0
"""Age up to which a run that the log does not know may simply not have been written there yet."""


def context(history: Sequence[StoredMessage]) -> tuple[Message, ...]:
    """Return the messages for a model: all that the user has seen.

    A partial answer (failed, cancelled, interrupted) counts when it has text; a pending one has none.
    """
    return tuple(
        message_of(message.item) if message.item else Message(message.role, message.content)
        for message in history
        if message.role != "assistant" or (message.content and message.status != "pending")
    )


def pending(history: Sequence[StoredMessage]) -> StoredMessage | None:
    """Return the answer that is being written, as far as the store knows."""
    return next((message for message in reversed(history) if message.status == "pending"), None)


def may_be_alive(state: RunState, age: float, *, run_seconds: float) -> bool:
    """Return whether a run that another pod began `age` seconds ago may still write its answer.

    It may while the log has no end of it, but not for longer than a run may take: then its pod died with it. A run that
    is not in the log counts as alive for a moment only, because its first events may be on their way.
    """
    return (state == "open" and age < run_seconds) or (state == "unknown" and age < UNSEEN_SECONDS)


def age(message: StoredMessage, now: datetime) -> float:
    """Return the seconds since a message was made."""
    return (now - datetime.fromisoformat(message.created_at)).total_seconds()


def stamp(now: datetime) -> str:
    """Return a time as stored messages carry it."""
    return now.isoformat(timespec="milliseconds")
