"""Completions: runs that belong to no conversation."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Literal, TypeAlias

from chatfleet_api.chat.models import Models
from chatfleet_api.chat.turn import PLAIN, RunJob, Seams, run_turn
from chatfleet_api.domain.events import Start
from chatfleet_api.domain.live import Live
from chatfleet_api.domain.principal import Principal
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.runs.fence import Fence
from chatfleet_api.runs.fleet.interface import Fleet, RunRecord
from chatfleet_api.runs.pool import RunPool
from chatfleet_api.runs.run import Run

Retention: TypeAlias = Literal["none", "log", "fleet"]
"""Who can retrieve a run: no later request, so that its events are not kept; any that has its id, from the log; or any
that has its id, of a run that belongs to the fleet and outlives the pod that began it."""


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

    async def start(self, principal: Principal, request: ChatRequest, retention: Retention = "none") -> Run:
        """Start a run.

        One of the `fleet` can be read from every pod, and outlives this one. Others need no Redis. One without
        retention (`none`) has one reader, the caller.

        Raises:
            ChatError: MODEL_NOT_FOUND, AT_CAPACITY, DRAINING, and for a run of the fleet STORAGE_UNAVAILABLE.
        """
        tenant = principal.tenant
        provider = self.catalogue().provider(request.model)
        with self.pool.admit() as start:
            began = Start(self.new_id(), request.model, int(self.now().timestamp()))
            produce = partial(run_turn, RunJob(began, request, provider, None, self.clock, seams=self.seams))
            if retention != "fleet":
                return start(tenant, began.run, produce, logged=retention == "log")
            async with self.fleet.begin(RunRecord(tenant, began, request)):
                return start(tenant, began.run, produce, Fence())
