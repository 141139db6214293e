"""Responses: runs of one request that can be retrieved, resumed and cancelled by their id, on any pod."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from chatfleet_api.chat.completions import Completions
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Start
from chatfleet_api.domain.principal import Principal
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.runs.log.interface import RunLog
from chatfleet_api.runs.pool import RunPool
from chatfleet_api.runs.run import Run
from chatfleet_api.runs.tail import Batch


@dataclass(frozen=True, kw_only=True)
class Responses:
    """The runs themselves are all that is stored of a response."""

    completions: Completions
    pool: RunPool
    log: RunLog

    async def create(self, principal: Principal, request: ChatRequest, *, echo: str = "", store: bool = True) -> Run:
        """Start a run; raises as `Completions.start` does.

        With `store` it is the fleet's: its readers get nothing that its log lacks, so that whoever has read its end
        retrieves it as ended, from every pod. Without, it cannot be retrieved, and its events are not kept.
        """
        return await self.completions.start(principal, request, retrievable=store, echo=echo)

    async def retrieve(self, principal: Principal, run: str) -> AsyncGenerator[Batch, None]:
        """Yield all events of a run that has ended, the first batch of one that goes on.

        Raises:
            ChatError: NOT_FOUND for a run that is unknown, or a conversation's; STORAGE_UNAVAILABLE.
        """
        in_progress = await self.log.state(principal.tenant, run) == "open"
        async with aclosing(self.read(principal, run)) as batches:
            async for batch in batches:
                if isinstance(start := batch.events[0], Start) and start.conversation:
                    raise unknown_response()
                yield batch
                if in_progress:
                    return

    def read(self, principal: Principal, run: str, after: int = 0) -> AsyncGenerator[Batch, None]:
        """Yield a run's events beyond `after` until its end, wherever it is produced."""
        return self.pool.read(principal.tenant, run, after)

    async def cancel(self, principal: Principal, run: str) -> bool:
        """Stop a run, on whichever pod, within half a second; returns whether it was in progress.

        Raises:
            ChatError: STORAGE_UNAVAILABLE.
        """
        return await self.pool.cancel(principal.tenant, run)


def unknown_response() -> ChatError:
    """Return the error for an id that belongs to no response."""
    return ChatError(Code.NOT_FOUND, "This response does not exist or is no longer stored.")
