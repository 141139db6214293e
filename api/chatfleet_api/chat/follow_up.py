"""Runs without a request of a client: what follows an answer, such as the title of its conversation.

Such a run has a share of the limits, and is counted as an answer of the conversation is. It calls no tools.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import NamedTuple

from chatfleet_api.chat import history
from chatfleet_api.chat.limits import reserved
from chatfleet_api.chat.models import Models
from chatfleet_api.chat.steps import one_step
from chatfleet_api.chat.turn import RunJob, Seams, Sink, run_turn
from chatfleet_api.domain.events import Start
from chatfleet_api.domain.live import Live
from chatfleet_api.domain.principal import Principal
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.runs.pool import RunPool, StartRun
from chatfleet_api.sessions.store import SessionStore, StoredMessage
from chatfleet_api.usage.record import Consumer


class Of(NamedTuple):
    """The conversation of a run, and who pays."""

    tenant: str
    conversation: str
    consumer: Consumer


@dataclass(frozen=True, kw_only=True)
class FollowUps:
    """Begins runs after answers."""

    catalogue: Live[Models]
    pool: RunPool
    sessions: SessionStore
    clock: Callable[[], float]
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    seams: Seams

    async def begin(self, start: StartRun, of: Of, request: ChatRequest, sink: Callable[[StoredMessage], Sink]) -> None:
        """Begin a run; the sink of its pending message saves the whole answer.

        Raises `ChatError`: MODEL_NOT_FOUND, LIMIT_EXCEEDED, STORAGE_UNAVAILABLE.
        """
        models, consumer = self.catalogue(), of.consumer
        provider = models.provider(request.model)
        principal = Principal(of.tenant, consumer.key or None, consumer.user or None)
        with await reserved(self.seams.limits, principal, request, max_tokens=models.max_tokens) as part:
            began = Start(self.new_id(), request.model, int(self.now().timestamp()), of.conversation)
            pending = StoredMessage(began.run, "assistant", "", self.stamp(), "pending", began.run)
            seams = replace(self.seams, steps=one_step)
            job = RunJob(
                began, request, provider, sink(pending), self.clock, seams=seams, consumer=consumer, held=part.held
            )
            part.keep(start(of.tenant, began.run, partial(run_turn, job)))

    def stamp(self) -> str:
        """Return the time, as stored messages carry it."""
        return history.stamp(self.now())
