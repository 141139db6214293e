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
from chatfleet_api.domain.cache_use import using
from chatfleet_api.domain.events import Start
from chatfleet_api.domain.live import Live
from chatfleet_api.domain.principal import Principal
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.domain.tasks import Task, TaskKind
from chatfleet_api.runs.pool import RunPool, StartRun
from chatfleet_api.runs.run import Run
from chatfleet_api.sessions.store import SessionStore, StoredMessage
from chatfleet_api.usage.record import Consumer


class Of(NamedTuple):
    """The conversation of a run, who pays, and what is made."""

    tenant: str
    conversation: str
    consumer: Consumer
    kind: TaskKind


@dataclass(slots=True)
class _Noted:
    """A sink that notes how its message has ended."""

    sink: Sink
    problem: str = "The answer was not stored."
    cancelled: bool = False

    @property
    def message(self) -> StoredMessage:
        return self.sink.message

    async def save(self, message: StoredMessage) -> None:
        await self.sink.save(message)
        self.cancelled = message.status == "cancelled"
        if message.status != "complete":
            self.problem = f"The answer is {message.status}."
        else:
            self.problem = "" if message.content.strip() else "The answer is empty."

    def note(self, task: Task) -> None:
        """Note in `task` what came of the run."""
        if self.cancelled:
            task.cancelled()
        elif self.problem:
            task.failed(self.problem)
        else:
            task.result = "The answer is complete."


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
            noted = _Noted(sink(pending))
            job = RunJob(began, request, provider, noted, self.clock, seams=seams, consumer=consumer, held=part.held)
            with using(None):  # the response cache is for the requests of clients
                part.keep(start(of.tenant, began.run, partial(self._make, of, job, noted)))

    async def _make(self, of: Of, job: RunJob, noted: _Noted, run: Run) -> None:
        tasks = self.seams.tasks
        if tasks is None:
            await run_turn(job, run)
            return
        facts = {"tenant": of.tenant, "conversation": of.conversation}
        with tasks.running(of.kind, facts, identity=run.id, cancel=run.cancel) as task:
            await run_turn(job, run)
            noted.note(task)

    def stamp(self) -> str:
        """Return the time, as stored messages carry it."""
        return history.stamp(self.now())
