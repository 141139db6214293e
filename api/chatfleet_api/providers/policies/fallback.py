"""Asks the next model when one fails before its first token. An answer is continued by the first alone."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from chatfleet_api.domain.errors import ChatError
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.provider import Piece, Provider


class Fallback:
    """A `Provider` that asks several, in order, until an answer begins."""

    def __init__(self, chain: Sequence[Provider]) -> None:
        """Ask the first of `chain`, and each next one only when all before it have failed."""
        self._chain = tuple(chain)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Piece], None]:
        """Ask until an answer begins, and yield it as it comes; when none does, raise what the first one raised."""
        failures: list[ChatError] = []
        for provider in self._chain[:1] if request.continues else self._chain:
            batches = provider.stream(request)
            try:
                first = await anext(batches)
            except ChatError as error:
                failures.append(error)
                if not error.facts.try_fallback:
                    break
                continue
            async with aclosing(batches):
                yield first
                async for pieces in batches:
                    yield pieces
            return
        asked, *others = failures
        for other in others:
            asked.add_note(f"a fallback failed too: {other}")
        raise asked

    async def check(self) -> None:
        """Check the first, which is the one that was chosen."""
        await self._chain[0].check()
