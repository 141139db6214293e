"""The queue of a conversation: a message waits while another is answered, or preempts the answers before it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeAlias, TypeVar, assert_never

from chatfleet_api.domain.errors import ChatError, Code, ConversationConflictError
from chatfleet_api.sessions.store import SessionStore
from chatfleet_contract.spec import OnBusy

BUSY_RETRY_SECONDS: Final = 1.0
POLL_SECONDS: Final = 0.1
"""Between two checks whether a conversation is free."""
WAIT_SECONDS: Final = 60.0
"""Longest that a message waits until the answers before it are written; clients and proxies wait no longer either."""
INTERRUPT_SECONDS: Final = 5.0
"""Longest that a message waits for the end of the answers that it interrupts."""

Started = TypeVar("Started")
TryStart: TypeAlias = Callable[[], Awaitable[Started]]
"""Starts the run of a message or finds it; raises `ConversationConflictError` while the conversation is not free."""

Interrupt: TypeAlias = Callable[[], Awaitable[object]]
"""Ends the answer that is being written, if one is."""


class Queue:
    """The messages of this pod that wait, each with a ticket in the queue of its conversation, in the store."""

    def __init__(self, sessions: SessionStore, new_id: Callable[[], str]) -> None:
        self._sessions = sessions
        self._new_id = new_id
        self.waiting = 0
        """Messages that wait."""

    async def start(
        self,
        tenant: str,
        conversation: str,
        start: TryStart[Started],
        *,
        on_busy: OnBusy,
        interrupt: Interrupt,
    ) -> Started:
        """Start the run at once or, if `on_busy` lets it wait, when it is its turn."""
        match on_busy:
            case "enqueue":
                return await self.wait(tenant, conversation, start)
            case "interrupt":
                return await self.preempt(tenant, conversation, start, interrupt)
            case "reject":
                return await start()
            case _:
                assert_never(on_busy)

    async def wait(self, tenant: str, conversation: str, start: TryStart[Started]) -> Started:
        """Wait, first come first served on all pods."""
        return await self._wait_for_turn(tenant, conversation, start, WAIT_SECONDS)

    async def preempt(self, tenant: str, conversation: str, start: TryStart[Started], interrupt: Interrupt) -> Started:
        """Wait in the same queue, and interrupt each answer before it; the partial answers are stored."""
        return await self._wait_for_turn(tenant, conversation, start, INTERRUPT_SECONDS, interrupt)

    async def _wait_for_turn(
        self,
        tenant: str,
        conversation: str,
        start: TryStart[Started],
        seconds: float,
        interrupt: Interrupt | None = None,
    ) -> Started:
        ticket = self._new_id()
        self.waiting += 1
        try:
            async with asyncio.timeout(seconds):
                while True:
                    position = await self._sessions.enqueue(tenant, conversation, ticket)
                    if position == 0 and (run := await _if_free(start)):
                        return run
                    if interrupt is not None:
                        await interrupt()
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            raise ChatError(Code.CONVERSATION_BUSY, retry_after=BUSY_RETRY_SECONDS) from None
        finally:
            self.waiting -= 1
            with suppress(ChatError):  # the ticket expires by itself
                await self._sessions.dequeue(tenant, conversation, ticket)


async def _if_free(start: TryStart[Started]) -> Started | None:
    """Return what `start` returns, None when the conversation is not free."""
    try:
        return await start()
    except ConversationConflictError:
        return None
