"""Opens the next model when one fails before its first token. An answer is continued by the first alone."""

from collections.abc import Sequence
from functools import partial

from chatfleet_api.domain.errors import ChatError
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.provider import DeferredOpening, EnteredStream, Opening, Provider, enter


class Fallback:
    """A `Provider` that opens the first of a chain, and each next one only when all before it have failed."""

    def __init__(self, chain: Sequence[Provider]) -> None:
        self._chain = tuple(chain)

    def open(self, request: ChatRequest) -> Opening:
        """Open the first model that can be; when none can, raise what the first one raised."""
        return DeferredOpening(partial(self._first_open, request))

    async def _first_open(self, request: ChatRequest) -> EnteredStream:
        failures: list[ChatError] = []
        for provider in self._chain[:1] if request.continues else self._chain:
            try:
                return await enter(provider.open(request))
            except ChatError as error:
                failures.append(error)
                if not error.facts.try_fallback:
                    break
        chosen, *others = failures
        for other in others:
            chosen.add_note(f"a fallback failed too: {other}")
        raise chosen
