"""Feedback of users: on an answer, or on a conversation as a whole."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from chatfleet_api.chat.announcing import given as announced
from chatfleet_api.chat.history import stamp
from chatfleet_api.chat.ownership import require_visible
from chatfleet_api.domain.dispatch import Dispatcher, EventKind
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.principal import Principal
from chatfleet_api.sessions.feedback import Feedback, FeedbackStore, Thumb
from chatfleet_api.sessions.store import SessionStore, StoredMessage
from chatfleet_api.webhooks.event import HookEvent


class FeedbackMeter(Protocol):
    """Counts feedback."""

    def valued(self, model: str, value: str) -> None:
        """Count a thumb, or a rating, of an answer of a model."""
        ...


class Opinion(NamedTuple):
    """What a user thinks. At least one of it is there."""

    thumb: Thumb | None
    rating: int | None
    comment: str | None


@dataclass(frozen=True, kw_only=True)
class FeedbackService:
    """Every method raises `ChatError(STORAGE_UNAVAILABLE)` and CONVERSATION_NOT_FOUND."""

    feedback: FeedbackStore
    sessions: SessionStore
    meter: FeedbackMeter
    announce: Callable[[HookEvent], Awaitable[None]]
    """Queues an event for webhooks."""
    new_id: Callable[[], str]
    """Makes UUIDv7 text."""
    now: Callable[[], datetime]
    """The time of day, with zone UTC."""
    dispatcher: Dispatcher | None = None
    """Those who listen to what happens."""

    async def give(
        self, principal: Principal, conversation: str, opinion: Opinion, *, user: str | None, message: str | None
    ) -> Feedback:
        """Store what a user thinks, in the place of what that user thought before of the same.

        `user` is who the request names; the default is the user of the conversation.

        Raises:
            ChatError: NOT_FOUND: `message` is not an answer of the conversation. INVALID_REQUEST: there is too much.
        """
        await require_visible(self.sessions, principal, conversation)
        known = await self.sessions.get(principal.tenant, conversation)
        answer = _answer(await self.sessions.outline(principal.tenant, conversation), message)
        now = stamp(self.now())
        given = Feedback(user or known.user_id, message, now, now, *opinion)
        stored = await self.feedback.put(principal.tenant, conversation, given)
        await self.announce(announced(self.new_id(), principal.tenant, conversation, stored))
        for value in (opinion.thumb, opinion.rating):
            if value is not None:
                self.meter.valued((answer and answer.model) or "", str(value))
        self._notify(principal.tenant, conversation, given, answer)
        return stored

    def _notify(self, tenant: str, conversation: str, given: Feedback, answer: StoredMessage | None) -> None:
        if self.dispatcher is None:
            return
        of = {"conversation": conversation, "message": given.message, "user": given.user}
        opinion = {"model": answer and answer.model, "thumb": given.thumb, "rating": given.rating}
        present = {name: value for name, value in {**of, **opinion}.items() if value is not None}
        self.dispatcher.emit(EventKind.FEEDBACK, tenant, **present)

    async def all(self, principal: Principal, conversation: str) -> tuple[Feedback, ...]:
        """Return all feedback on a conversation, in the order in which it was first given."""
        await require_visible(self.sessions, principal, conversation)
        return await self.feedback.all(principal.tenant, conversation)


def _answer(messages: Sequence[StoredMessage], wanted: str | None) -> StoredMessage | None:
    """Return the answer that feedback is about: the last, if it is about none of them."""
    answers = [each for each in messages if each.role == "assistant" and wanted in (None, each.id)]
    if wanted is not None and not answers:
        raise ChatError(Code.NOT_FOUND, "This answer does not exist in the conversation.", param="message_id")
    return answers[-1] if answers else None
