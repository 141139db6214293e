"""How a message waits that comes while another is answered: in line, patiently or by interrupting what is before it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeAlias

from chatfleet_api.domain.errors import ChatError, Code, ConversationConflictError
from chatfleet_api.runs.run import Run
from chatfleet_api.sessions.store import SessionStore

BUSY_RETRY_SECONDS: Final = 1.0
TURN_POLL_SECONDS: Final = 0.1
"""Between two looks whether a conversation is free."""
TURN_SECONDS: Final = 60.0
"""Longest that a message waits until the answers before it are written; clients and proxies wait no longer either."""
INTERRUPT_SECONDS: Final = 5.0
"""Longest that a message waits for the end of the answers that it interrupts."""

Ask: TypeAlias = Callable[[], Awaitable[Run]]
"""Starts the run of a message; raises `ConversationConflictError` while the conversation is not free."""

Interrupt: TypeAlias = Callable[[], Awaitable[object]]
"""Ends the answer that is being written, if one is."""


class Queue:
    """Where messages wait."""

    def __init__(self, sessions: SessionStore, new_id: Callable[[], str]) -> None:
        self._sessions = sessions
        self._new_id = new_id
        self.waiting = 0
        """Messages that wait in line at this pod."""

    async def wait(self, tenant: str, conversation: str, ask: Ask) -> Run:
        """Wait in line, first come first served on all pods."""
        return await self._stand(tenant, conversation, ask, TURN_SECONDS)

    async def jump(self, tenant: str, conversation: str, ask: Ask, interrupt: Interrupt) -> Run:
        """Stand in the same line, and end every answer that is written meanwhile; what had come of it is kept."""
        return await self._stand(tenant, conversation, ask, INTERRUPT_SECONDS, interrupt)

    async def _stand(
        self, tenant: str, conversation: str, ask: Ask, seconds: float, interrupt: Interrupt | None = None
    ) -> Run:
        ticket = self._new_id()
        self.waiting += 1
        try:
            async with asyncio.timeout(seconds):
                while True:
                    place = await self._sessions.enqueue(tenant, conversation, ticket)
                    if place == 0 and (run := await _if_free(ask)):
                        return run
                    if interrupt is not None:
                        await interrupt()
                    await asyncio.sleep(TURN_POLL_SECONDS)
        except TimeoutError:
            raise ChatError(Code.CONVERSATION_BUSY, retry_after=BUSY_RETRY_SECONDS) from None
        finally:
            self.waiting -= 1
            with suppress(ChatError):  # the place is lost by itself
                await self._sessions.dequeue(tenant, conversation, ticket)


async def _if_free(ask: Ask) -> Run | None:
    """Return what `ask` returns, None when the conversation is not free."""
    try:
        return await ask()
    except ConversationConflictError:
        return None
