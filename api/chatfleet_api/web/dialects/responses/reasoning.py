"""How much a model is to reason, and what a response shows of it."""

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from chatfleet_api.domain.request import Untranslated

_Length = Literal["auto", "concise", "detailed"]


class ReasoningOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much the model is to reason."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    summary: _Length | None = None
    generate_summary: _Length | None = None
    """The old name of `summary`."""
    context: Any = None  # of which `request.py` knows the values that are accepted
    mode: Any = None

    @property
    def length(self) -> _Length | None:
        """Return the length of the summary that is wanted."""
        return self.summary or self.generate_summary


def beyond(options: ReasoningOptions) -> Iterator[Untranslated]:
    """Yield what only an upstream of the dialect has."""
    if options.mode not in (None, "standard"):
        message = "Unsupported value: 'reasoning.mode', which the model's provider does not have. Omit it."
        yield Untranslated("reasoning.mode", message)
