"""Replay of an answer to a repeated request: joined while it is written, read from the store when its log is gone."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from chatfleet_api.chat.takeover import remainder
from chatfleet_api.domain.errors import ChatError, Code, NotFoundError
from chatfleet_api.domain.events import Start
from chatfleet_api.runs.pool import RunPool
from chatfleet_api.runs.tail import Batch
from chatfleet_api.sessions.store import IdempotencyRecord, SessionStore, StoredMessage


@dataclass(frozen=True)
class Replay:
    """The run of an answer, on whichever pod; read like a `Run`."""

    pool: RunPool
    tenant: str
    conversation: str
    answer: StoredMessage

    quota: ClassVar[None] = None
    """It takes nothing of the limits."""

    @property
    def id(self) -> str:
        """The run's id."""
        return self.answer.run or ""

    def cancel(self) -> None:
        """Do nothing: only the first request can cancel the run."""

    async def read(self, after: int = 0) -> AsyncGenerator[Batch, None]:
        """Yield the events beyond `after` as `Run.read` does; the answer in one piece when its log is gone."""
        try:
            async with aclosing(self.pool.read(self.tenant, self.id, after)) as batches:
                async for batch in batches:
                    yield batch
                    after = batch.last
        except NotFoundError:
            if after or self.answer.status == "pending":
                raise
            created = int(datetime.fromisoformat(self.answer.created_at).timestamp())
            start = Start(self.id, self.answer.model or "", created, self.conversation, self.answer.id)
            yield Batch(1, (start, *remainder((), self.answer)))


async def find_replay(
    pool: RunPool, sessions: SessionStore, tenant: str, conversation: str, request: IdempotencyRecord
) -> Replay | None:
    """Return the answer to an earlier request with the same key; raise `ChatError(IDEMPOTENCY_MISMATCH)` for another.

    None: no request had the key.
    """
    known = await sessions.idempotency_record(tenant, conversation, request.key)
    if known is None:
        return None
    if known.digest != request.digest:
        raise ChatError(Code.IDEMPOTENCY_MISMATCH)
    messages = await sessions.outline(tenant, conversation)
    answer = next((message for message in messages if message.id == known.answer), None)
    return None if answer is None else Replay(pool, tenant, conversation, answer)
