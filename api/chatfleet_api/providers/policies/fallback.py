"""Opens the next model when one fails before its first token. An answer is continued by the first alone.

A conversation stays with the model of its newest answer, be it a fallback, while that can be opened: its provider may
have the prompt in its cache.
"""

from collections.abc import Sequence
from functools import partial
from typing import TypeAlias

from chatfleet_api.domain.errors import ChatError
from chatfleet_api.domain.request import Affinity, ChatRequest
from chatfleet_api.providers.provider import DeferredOpening, EnteredStream, Opening, Provider, enter

Upstream: TypeAlias = tuple[str | None, str | None]
"""Names of a provider and of a model, the latter the provider's own."""


class Fallback:
    """A `Provider` that opens the first of a chain, and each next one only when all before it have failed."""

    def __init__(
        self, chain: Sequence[Provider], names: Sequence[Upstream] = (), last: Sequence[Provider] = ()
    ) -> None:
        """Open `chain`, whose models have these `names`; the one that is tried last is opened as in `last`."""
        self._chain = tuple(chain)
        self._last = dict(zip(self._chain, last, strict=True)) if last else {}
        self._positions = {name: position for position, name in reversed([*enumerate(names)])}

    def open(self, request: ChatRequest) -> Opening:
        """Open the first model that can be; when none can, raise what the first one raised."""
        return DeferredOpening(partial(self._first_open, request))

    async def _first_open(self, request: ChatRequest) -> EnteredStream:
        failures: list[ChatError] = []
        *others, last = self._chain[:1] if request.continues else self._ordered(request.affinity)
        for provider in (*others, self._last.get(last, last)):
            try:
                return await enter(provider.open(request))
            except ChatError as error:
                failures.append(error)
                if not error.facts.try_fallback:
                    break
        chosen, *further = failures
        for other in further:
            chosen.add_note(f"a fallback failed too: {other}")
        raise chosen

    def _ordered(self, affinity: Affinity | None) -> tuple[Provider, ...]:
        """Return the chain, in which the model that may have the prompt in its cache goes first."""
        kept = 0 if affinity is None else self._positions.get((affinity.provider, affinity.model), 0)
        return (self._chain[kept], *self._chain[:kept], *self._chain[kept + 1 :]) if kept else self._chain
