"""The token counts of one chat completion, from all that its upstream reported. Pure."""

from msgspec.structs import replace

from chatfleet_api.domain.events import Usage
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.domain.usage_estimate import usage_estimate
from chatfleet_api.providers.token_counts import believed
from chatfleet_api.providers.vendors.openai.chunks import ChunkUsage


class UsageCount:
    """Keeps the newest figures; what is no count of tokens does not replace one that is."""

    __slots__ = ("_cached", "_completion", "_prompt", "_reasoning", "_total", "_written")

    def __init__(self) -> None:
        self._prompt = self._completion = self._total = 0
        self._cached = self._written = self._reasoning = 0

    def read(self, usage: ChunkUsage) -> None:
        """Take the figures of a chunk, totals so far. Zero does not count: servers send it for a number not known."""
        self._prompt = believed(usage.prompt_tokens) or self._prompt
        self._completion = believed(usage.completion_tokens) or self._completion
        self._total = believed(usage.total_tokens) or self._total
        if parts := usage.prompt_tokens_details:
            self._cached = believed(parts.cached_tokens) or self._cached
            self._written = believed(parts.cache_write_tokens) or self._written
        if details := usage.completion_tokens_details:
            self._reasoning = believed(details.reasoning_tokens) or self._reasoning

    def usage(self, request: ChatRequest, items: int) -> Usage:
        """Return the figures in our terms, with estimates for those that are missing: the input, an output of `items`.

        xAI and Gemini count reasoning beside the completion, so that the total is more than prompt and completion.
        """
        beside = max(0, self._total - self._prompt - self._completion) if self._prompt else 0
        output = self._completion + beside
        counted = Usage(
            input_tokens=self._prompt,
            output_tokens=output,
            reasoning_tokens=min(max(self._reasoning, beside), output),
            cache_read_tokens=self._cached,
            cache_write_tokens=self._written,
        )
        if self._prompt and (output or not items):
            return counted
        guess = usage_estimate(request, items)
        rest = max(0, self._total - output) if output else 0
        return replace(
            counted,
            input_tokens=self._prompt or rest or guess.input_tokens,
            output_tokens=output or guess.output_tokens,
            estimated=True,
        )
