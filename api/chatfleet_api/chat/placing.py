"""What is sent, and where in a conversation it goes. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from chatfleet_api.chat.decisions import Resumption
from chatfleet_api.chat.room import Adding
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.sessions.store import Conversation, StoredMessage, Summary
from chatfleet_api.sessions.tree import ROOT, after


class Turn(NamedTuple):
    """Questions, and how they shall be answered."""

    questions: tuple[StoredMessage, ...]
    request: ChatRequest
    """Its messages are the questions; what the conversation has before them goes before these."""
    instructions: tuple[Message, ...] = ()
    """Go before all else, and are not kept for later turns."""
    echo: str | None = None
    """Of a response: the parameters that it shows, as JSON; None: the answer is no response."""
    background: bool = False
    """Whether its client may leave before there is an answer: an error has to come before anything is stored."""
    resumes: Resumption | None = None
    """The answer that it goes on from, with the decision about its calls; the request has that."""

    @property
    def adding(self) -> Adding:
        """What its questions and its answer add to a conversation."""
        return Adding.of(self.questions, answers=1, param="attachments" if self.echo is None else "input")

    def past(self, before: tuple[StoredMessage, ...]) -> tuple[StoredMessage, ...]:
        """Return the messages before that the request does not have itself."""
        return before if self.resumes is None else before[: self.resumes.before]

    def decided_by(self, answer: str) -> tuple[StoredMessage, ...]:
        """Return the answer that it goes on from, once `answer` does."""
        return () if self.resumes is None else (replace(self.resumes.answer, decided=answer),)


class Place(NamedTuple):
    """Where a turn goes on."""

    conversation: str
    version: int | None
    """That it must have; None: any."""
    before: tuple[StoredMessage, ...] = ()
    """The messages that the model gets before the questions: a path."""
    carried: tuple[StoredMessage, ...] = ()
    """Those of them that are stored along with the questions."""
    create: Conversation | None = None
    """The conversation, when it is a new one."""
    user: str | None = None
    """The user of the conversation."""
    stored: tuple[StoredMessage, ...] = ()
    """All messages of the conversation."""
    summary: Summary | None = None
    """Of the oldest messages of a path."""

    def following(self, messages: Sequence[StoredMessage]) -> tuple[StoredMessage, ...]:
        """Return new messages as they are stored."""
        return after(self.stored, self.before[-1].id if self.before else ROOT, messages)
