"""The token counts of one answer of Bedrock. Pure."""

from chatfleet_api.domain.events import Usage
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.domain.usage_estimate import usage_estimate
from chatfleet_api.providers.token_counts import believed
from chatfleet_api.providers.vendors.bedrock.events import TokenUsage


def usage_of(counted: TokenUsage | None, request: ChatRequest, pieces: int) -> Usage:
    """Return the figures in our terms, in which the input includes what the cache took or gave.

    Returns an estimate for a count that did not come.
    """
    figures = counted or TokenUsage()
    read, written = believed(figures.cache_read_input_tokens), believed(figures.cache_write_input_tokens)
    given = believed(figures.input_tokens) + read + written
    made = believed(figures.output_tokens)
    if given and made:
        return Usage(given, made, cache_read_tokens=read, cache_write_tokens=written)
    guess = usage_estimate(request, pieces)
    return Usage(
        given or guess.input_tokens,
        made or guess.output_tokens,
        cache_read_tokens=read,
        cache_write_tokens=written,
        estimated=True,
    )
