"""Summaries of the oldest turns of a conversation, by its model, for `conversations.overflow: compact`.

A summary is made after an answer with which three quarters of the window are full, so that it is nearly always there
before a turn would be left out. No answer waits for it. The next one stands for the one before it, too.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

from msgspec.structs import replace

from chatfleet_api.chat.compaction import stands_for, summarised, summary_request
from chatfleet_api.chat.follow_up import FollowUps, Of
from chatfleet_api.chat.history import context
from chatfleet_api.chat.window import Window, first_kept, token_counts
from chatfleet_api.domain.errors import ChatError
from chatfleet_api.domain.events import Start
from chatfleet_api.domain.live import Live
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.domain.tasks import TaskKind
from chatfleet_api.domain.usage_estimate import tokens_of
from chatfleet_api.sessions.store import Conversation, SessionStore, StoredMessage, Summary
from chatfleet_api.sessions.tree import path_to
from chatfleet_api.usage.record import Consumer

FULL: Final = 0.75
"""Share of the window from which on a summary is made."""
KEPT: Final = 0.5
"""Share of the window that newer turns may take, for which it does not stand."""
MAX_TOKENS: Final = 2048
"""Of the model's answer: reasoning, if it cannot be without, and the summary."""

logger = logging.getLogger(__name__)


class _SupersededError(Exception):
    """The conversation has another summary by now."""


class Due(NamedTuple):
    """A summary that shall be made."""

    request: ChatRequest
    last: str
    """Id of the last message that it will stand for."""
    messages: int


@dataclass(frozen=True, slots=True)
class _SummarySink:
    """Where a summary is stored: in the record of its conversation, unless that has another one by now."""

    sessions: SessionStore
    of: Of
    due: Due
    before: Summary | None
    message: StoredMessage
    now: Callable[[], str]

    async def save(self, message: StoredMessage) -> None:
        """Store the text of `message`; what has failed, or is empty, is none."""
        if message.status != "complete" or not message.content.strip():
            return
        summary = Summary(message.content.strip(), self.due.last, self.due.messages)
        change = partial(_summed_up, self.before, summary)
        try:
            await self.sessions.update(self.of.tenant, self.of.conversation, change, now=self.now())
        except _SupersededError:
            return


@dataclass(frozen=True, kw_only=True)
class Summaries:
    """Makes summaries."""

    window: Live[Window]
    follow_ups: FollowUps

    async def answered(self, tenant: str, start: Start, consumer: Consumer) -> None:
        """Begin a summary of the conversation in which a complete answer was stored, if one is due. Never raises.

        A pod that drains, or has no slot left, begins none.
        """
        window = self.window()
        if window.tokens is None or window.overflow != "compact" or start.conversation is None:
            return
        try:
            await self._begin(window, Of(tenant, start.conversation, consumer, TaskKind.SUMMARY), start)
        except ChatError as error:
            logger.info("Conversation %s gets no summary: %s", start.conversation, error)

    async def _begin(self, window: Window, of: Of, start: Start) -> None:
        sessions = self.follow_ups.sessions
        with self.follow_ups.pool.admit() as begin:
            known = await sessions.get(of.tenant, of.conversation)
            path = path_to(await sessions.messages(of.tenant, of.conversation), start.message or "")
            due = due_summary(window, path, known.summary, start.model) if known.listed else None
            if due is not None:
                make = partial(_SummarySink, sessions, of, due, known.summary, now=self.follow_ups.stamp)
                await self.follow_ups.begin(begin, of, due.request, make)


def due_summary(window: Window, path: Sequence[StoredMessage], before: Summary | None, model: str) -> Due | None:
    """Return the summary that shall be made of a path which ends with an answer; None: there is room enough."""
    most = window.tokens or 0
    covered = stands_for(before, path)
    earlier = (summarised(before),) if before is not None and covered else ()
    rest = path[covered:]
    counts = token_counts(path)[covered:]
    total = sum(counts) + tokens_of(ChatRequest(model, earlier))
    if total <= most * FULL:
        return None
    first = first_kept(rest, counts, total=total, most=int(most * KEPT), has_question=False)
    if not first:
        return None
    messages = (*earlier, *context(rest[:first]).messages)
    whole = covered + first
    request = summary_request(ChatRequest(model, messages, max_tokens=MAX_TOKENS))
    return Due(request, path[whole - 1].id, sum(not message.removed for message in path[:whole]))


async def without_summary(sessions: SessionStore, tenant: str, conversation: str, now: str) -> Conversation:
    """Return the conversation, which has no summary any more: it might have the words of a message that was removed."""
    found = await sessions.get(tenant, conversation)
    if found.summary is None:
        return found
    return await sessions.update(tenant, conversation, lambda known: replace(known, summary=None), now=now)


def _summed_up(before: Summary | None, summary: Summary, conversation: Conversation) -> Conversation:
    if conversation.summary != before:
        raise _SupersededError
    return replace(conversation, summary=summary)
