"""Feedback of users on conversations and answers: kept with the conversation, and deleted with it."""

import hashlib
from typing import Final, Literal, Protocol, TypeAlias

import msgspec

from chatfleet_api.domain.errors import ChatError, Code

MAX_FEEDBACK: Final = 100
"""Of one conversation."""
Thumb: TypeAlias = Literal["up", "down"]


class Feedback(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one user thinks of one answer, or of the conversation. Times are RFC 3339, UTC, with zone."""

    user: str | None
    message: str | None
    """The answer; None: the conversation as a whole."""
    created_at: str
    updated_at: str
    thumb: Thumb | None = None
    rating: int | None = None
    comment: str | None = None

    @property
    def key(self) -> str:
        """Of the user and the message: always 69 characters, of which the first 36 are the message's."""
        user = "" if self.user is None else f"user:{self.user}"
        return f"{self.message or NO_MESSAGE}:{hashlib.sha256(user.encode()).hexdigest()[:32]}"


NO_MESSAGE: Final = "-" * 36


class FeedbackStore(Protocol):
    """Feedback by conversation; methods raise as those of `SessionStore` do."""

    async def put(self, tenant: str, conversation: str, feedback: Feedback) -> Feedback:
        """Store `feedback` in the place of that of the same user on the same message, and return it.

        It has the `created_at` of the one before. Raises `ChatError(INVALID_REQUEST)` when there are `MAX_FEEDBACK`.
        """
        ...

    async def all(self, tenant: str, conversation: str) -> tuple[Feedback, ...]:
        """Return all, in the order in which users first gave it."""
        ...


def too_many() -> ChatError:
    """Return the error for further feedback on a conversation that has as much as it can have."""
    message = f"This conversation has feedback of {MAX_FEEDBACK} users and messages; change one of them."
    return ChatError(Code.INVALID_REQUEST, message)
