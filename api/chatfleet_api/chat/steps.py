"""The steps of a turn: how often its provider is called, and with what. The seam of agents and tools."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeAlias

from chatfleet_api.chat.truncation import truncated
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import ChatRequest, forget_sent
from chatfleet_api.providers.provider import Provider, StreamItem

Emit: TypeAlias = Callable[[Sequence[StreamItem]], None]
"""Remembers what was read, and publishes the part of it that readers get. Never waits."""


class Steps(Protocol):
    """Produces an answer by any number of calls to the provider."""

    def __call__(self, provider: Provider, request: ChatRequest, emit: Emit) -> Awaitable[None]: ...


async def single_step(provider: Provider, request: ChatRequest, emit: Emit) -> None:
    """Call the provider once; of a request that is too long, and may be truncated, again with a part of it."""
    has_begun = False
    try:
        async with provider.open(request) as stream:
            forget_sent(request)  # it may be large, and is not sent again once an answer has begun
            async for pieces in stream:
                has_begun = True
                emit(pieces)
    except ChatError as error:
        shorter = truncated(request) if error.code is Code.CONTEXT_TOO_LONG and not has_begun else None
        if shorter is None:
            raise
    else:
        return
    await single_step(provider, shorter, emit)
