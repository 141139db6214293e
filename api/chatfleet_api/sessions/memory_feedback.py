"""Feedback in memory, in the entry of its conversation, with which it goes."""

import msgspec

from chatfleet_api.sessions.feedback import MAX_FEEDBACK, Feedback, too_many
from chatfleet_api.sessions.memory import MemorySessionStore


class MemoryFeedbackStore:
    """A `FeedbackStore` beside a `MemorySessionStore`."""

    def __init__(self, sessions: MemorySessionStore) -> None:
        self._sessions = sessions

    async def put(self, tenant: str, conversation: str, feedback: Feedback) -> Feedback:
        known = self._sessions.feedback(tenant, conversation)
        if (before := known.get(feedback.key)) is not None:
            feedback = msgspec.structs.replace(feedback, created_at=before.created_at)
        elif len(known) >= MAX_FEEDBACK:
            raise too_many()
        known[feedback.key] = feedback
        return feedback

    async def all(self, tenant: str, conversation: str) -> tuple[Feedback, ...]:
        return tuple(self._sessions.feedback(tenant, conversation).values())
