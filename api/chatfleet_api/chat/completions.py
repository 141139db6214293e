"""Completions: runs that belong to no conversation."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from chatfleet_api.chat.accounting import consumer_of
from chatfleet_api.chat.limits import reserved
from chatfleet_api.chat.models import Models
from chatfleet_api.chat.producing import producing
from chatfleet_api.chat.turn import PLAIN, RunJob, Seams
from chatfleet_api.domain import presence, trace
from chatfleet_api.domain.events import Start
from chatfleet_api.domain.live import Live
from chatfleet_api.domain.principal import Principal
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.runs.fence import Fence
from chatfleet_api.runs.fleet.interface import Fleet, RunRecord
from chatfleet_api.runs.pool import RunPool
from chatfleet_api.runs.run import Run


@dataclass(frozen=True, kw_only=True)
class Completions:
    """Starts runs of one request."""

    catalogue: Live[Models]
    pool: RunPool
    fleet: Fleet
    clock: Callable[[], float]
    """Monotonic seconds."""
    now: Callable[[], datetime]
    """The time of day, with zone UTC."""
    new_id: Callable[[], str]
    """Makes UUIDv7 text."""
    seams: Seams = PLAIN

    async def start(
        self, principal: Principal, request: ChatRequest, *, retrievable: bool = False, echo: str = ""
    ) -> Run:
        """Start a run, whose `Start` has the `echo`.

        A `retrievable` one is the fleet's: every pod can read it, and it outlives this one. Another one has one
        reader, the caller, and needs no Redis.

        Raises:
            ChatError: MODEL_NOT_FOUND, AT_CAPACITY, DRAINING, LIMIT_EXCEEDED, and for a retrievable run
                STORAGE_UNAVAILABLE.
        """
        tenant = principal.tenant
        principal.require_model(request.model)
        models = self.catalogue()
        models.provider(request.model)  # raises when there is none
        with (
            self.pool.admit() as start,
            await reserved(self.seams.limits, principal, request, max_tokens=models.max_tokens) as part,
        ):
            request = part.request
            provider = models.provider(request.model)
            began = Start(self.new_id(), request.model, int(self.now().timestamp()), echo=echo)
            consumer = consumer_of(principal, request.user)
            presence.note(tenant, consumer.user)
            job = RunJob(
                began, request, provider, None, self.clock, seams=self.seams, consumer=consumer, held=part.held
            )
            produce = producing(job)
            if not retrievable:
                return part.keep(start(tenant, began.run, produce))
            record = RunRecord(tenant, began, request, consumer, part.held, *trace.place())
            async with self.fleet.begin(record):
                return part.keep(start(tenant, began.run, produce, Fence()))
