"""The token counts of one message, from all that its upstream reported. Pure."""

from msgspec.structs import replace

from chatfleet_api.domain.events import Usage
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.domain.usage_estimate import usage_estimate
from chatfleet_api.providers.service_tiers import region_of, tier_of
from chatfleet_api.providers.token_counts import accepted
from chatfleet_api.providers.vendors.anthropic.events import EventUsage


class UsageCount:
    """Keeps the newest figures; what is no count of tokens does not replace one that is."""

    __slots__ = ("_figures", "_is_counted", "_region", "_tier")

    def __init__(self) -> None:
        self._figures: dict[str, int] = {}
        self._tier = self._region = ""
        self._is_counted = False
        """Whether the output has been counted at its end: the number at the start is only that of the start."""

    def read(self, usage: EventUsage | None, *, is_end: bool = False) -> None:
        """Take the numbers that are there, totals so far.

        Zero does not count: servers that do not know a number send it, also after the true one.
        """
        if usage is None:
            return
        details = usage.output_tokens_details
        numbers = {
            "input": usage.input_tokens,
            "output": usage.output_tokens,
            "written": usage.cache_creation_input_tokens,
            "read": usage.cache_read_input_tokens,
            "thinking": details.thinking_tokens if details else None,
            "written_1h": usage.cache_creation.ephemeral_1h_input_tokens if usage.cache_creation else None,
        }
        self._tier = tier_of(usage.speed) or tier_of(usage.service_tier) or self._tier
        self._region = region_of(usage.inference_geo) or self._region
        known = {name: count for name, value in numbers.items() if (count := accepted(value))}
        self._figures |= known
        self._is_counted |= is_end and "output" in known

    def usage(self, request: ChatRequest, items: int) -> Usage:
        """Return the figures in our terms, in which the input includes what the cache took or gave.

        Returns an estimate for an output of `items` without a count.
        """
        figures = self._figures
        written, read = figures.get("written", 0), figures.get("read", 0)
        counted = Usage(
            input_tokens=figures.get("input", 0) + written + read,
            output_tokens=figures.get("output", 0),
            reasoning_tokens=figures.get("thinking", 0),
            cache_read_tokens=read,
            cache_write_tokens=written,
            cache_write_1h_tokens=figures.get("written_1h", 0),
            service_tier=self._tier,
            region=self._region,
        )
        if self._is_counted and counted.input_tokens:
            return counted
        guess = usage_estimate(request, items)
        return replace(
            counted,
            input_tokens=counted.input_tokens or guess.input_tokens,
            output_tokens=max(counted.output_tokens, 0 if self._is_counted else guess.output_tokens),
            estimated=True,
        )
