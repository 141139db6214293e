"""The token counts of one chat completion, from all that its upstream reported. Pure."""

from msgspec.structs import replace

from chatfleet_api.domain.events import Usage
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.domain.usage_estimate import usage_estimate
from chatfleet_api.providers.service_tiers import tier_of
from chatfleet_api.providers.token_counts import accepted
from chatfleet_api.providers.vendors.openai.chunks import UNEXPECTED, ChunkUsage, decode_tier


class UsageCount:
    """Keeps the newest figures; what is no count of tokens does not replace one that is."""

    __slots__ = (
        *("_audio_in", "_audio_out", "_cached", "_completion", "_prompt", "_reasoning", "_total", "_written"),
        *("_written_12h", "_written_30m", "tier"),
    )

    def __init__(self) -> None:
        self.tier = ""
        """The service tier that answered, where the upstream names one that is not the usual."""
        self._audio_in = self._audio_out = self._written_30m = self._written_12h = 0
        self._prompt = self._completion = self._total = 0
        self._cached = self._written = self._reasoning = 0

    def read(self, usage: ChunkUsage) -> None:
        """Take the figures of a chunk, totals so far. Zero does not count: servers send it for a number not known."""
        self._prompt = accepted(usage.prompt_tokens) or self._prompt
        self._completion = accepted(usage.completion_tokens) or self._completion
        self._total = accepted(usage.total_tokens) or self._total
        if parts := usage.prompt_tokens_details:
            self._cached = accepted(parts.cached_tokens) or self._cached
            self._written = accepted(parts.cache_write_tokens) or self._written
            self._audio_in = accepted(parts.audio_tokens) or self._audio_in
            if kept := parts.cache_write_tokens_details:
                self._written_30m = accepted(kept.ttl_30m_tokens) or self._written_30m
                self._written_12h = accepted(kept.ttl_12h_tokens) or self._written_12h
        if details := usage.completion_tokens_details:
            self._reasoning = accepted(details.reasoning_tokens) or self._reasoning
            self._audio_out = accepted(details.audio_tokens) or self._audio_out

    def read_tier(self, payload: bytes) -> None:
        """Take the service tier from a chunk at the end of an answer."""
        try:
            self.tier = tier_of(decode_tier(payload).service_tier) or self.tier
        except UNEXPECTED:  # the figures of such a chunk were understood all the same
            return

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
            cache_write_30m_tokens=self._written_30m,
            cache_write_12h_tokens=self._written_12h,
            audio_input_tokens=self._audio_in,
            audio_output_tokens=self._audio_out,
            service_tier=self.tier,
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
