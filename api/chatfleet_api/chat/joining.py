"""Joining and resuming: which run of a conversation a reader gets, and after which of its events.

A client that joins gets the newest answer from its first event. A client that lost its connection resumes after the
last event that it has seen (`Last-Event-ID`), in the run that it was reading, on any pod; a bare number means the
newest run. Nothing to come is an answer of its own (204), which also ends the reconnecting of an `EventSource`.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import NamedTuple

from chatfleet_api.chat.ownership import require_visible
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.principal import Principal
from chatfleet_api.runs.log.interface import End, RunLog
from chatfleet_api.runs.pool import RunPool
from chatfleet_api.runs.tail import Batch
from chatfleet_api.sessions.store import SessionStore, StoredMessage


class LastSeen(NamedTuple):
    """The last event that a reader has seen, in a certain run or (None) in the conversation's newest."""

    run: str | None
    seq: int


class ResumePoint(NamedTuple):
    """Where to read on: after event `seq` of `run`."""

    run: str
    seq: int = 0


@dataclass(frozen=True, kw_only=True)
class Joining:
    """Finds what a reader is to get, and reads it."""

    sessions: SessionStore
    log: RunLog
    pool: RunPool

    async def find(self, principal: Principal, conversation: str, seen: LastSeen | None) -> ResumePoint | None:
        """Return where to read on after `seen`, None when nothing is to come.

        The newest run is joined, in progress or ended; a reader of an older one gets the rest of that.

        Raises:
            ChatError: CONVERSATION_NOT_FOUND, STORAGE_UNAVAILABLE; NOT_FOUND for a run that is not the conversation's.
        """
        tenant = principal.tenant
        await require_visible(self.sessions, principal, conversation)
        messages = await self.sessions.outline(tenant, conversation)
        run = joinable_run(messages, seen)
        if run is None:
            return None
        at = ResumePoint(run, seen.seq if seen else 0)
        if any(message.run == run and message.status == "pending" for message in messages):
            return at
        state = await self.log.state(tenant, run)
        if state == "unknown" and seen is None:  # its events are no longer kept
            return None
        if state == "ended" and not await self._has_more(principal, at):
            return None
        return at

    async def end(self, principal: Principal, conversation: str, run: str) -> End | None:
        """Return how far a run of the conversation reaches, None when its events are no longer kept.

        Raises as `find` does.
        """
        await require_visible(self.sessions, principal, conversation)
        messages = await self.sessions.outline(principal.tenant, conversation)
        joinable_run(messages, LastSeen(run, 0))
        end = await self.pool.end(principal.tenant, run)
        if end is None and any(message.run == run and message.status == "pending" for message in messages):
            return End(0, terminal=False)  # nothing of it is written yet
        return end

    def read(self, principal: Principal, run: str, after: int = 0) -> AsyncGenerator[Batch, None]:
        """Yield a run's events beyond `after` until its end, wherever it is produced."""
        return self.pool.read(principal.tenant, run, after)

    async def _has_more(self, principal: Principal, at: ResumePoint) -> bool:
        async with aclosing(self.read(principal, at.run, at.seq)) as batches:
            return await anext(batches, None) is not None


def joinable_run(messages: Sequence[StoredMessage], seen: LastSeen | None) -> str | None:
    """Return the run to join, None when there was none; raise `ChatError(NOT_FOUND)` for another conversation's."""
    runs = [message.run for message in messages if message.run]
    if seen is None or seen.run is None:
        return runs[-1] if runs else None
    if seen.run not in runs:
        raise ChatError(Code.NOT_FOUND, "This stream does not belong to this conversation.")
    return seen.run
