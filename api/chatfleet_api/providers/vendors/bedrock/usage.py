"""The token counts of one answer of Bedrock. Pure."""

from chatfleet_api.domain.events import Usage
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.domain.usage_estimate import usage_estimate
from chatfleet_api.providers.service_tiers import tier_of
from chatfleet_api.providers.token_counts import accepted
from chatfleet_api.providers.vendors.bedrock.events import Metadata, TokenUsage


def usage_of(metadata: Metadata | None, request: ChatRequest, pieces: int) -> Usage:
    """Return the figures in our terms, in which the input includes what the cache took or gave.

    Returns an estimate for a count that did not come.
    """
    figures = (metadata.usage if metadata else None) or TokenUsage()
    kept = {each.ttl: accepted(each.input_tokens) for each in figures.cache_details or () if isinstance(each.ttl, str)}
    tier = tier_of(metadata.service_tier.type if metadata and metadata.service_tier else None)
    read, written = accepted(figures.cache_read_input_tokens), accepted(figures.cache_write_input_tokens)
    given = accepted(figures.input_tokens) + read + written
    made = accepted(figures.output_tokens)
    if given and made:
        return Usage(
            given,
            made,
            cache_read_tokens=read,
            cache_write_tokens=written,
            cache_write_1h_tokens=kept.get("1h", 0),
            service_tier=tier,
        )
    guess = usage_estimate(request, pieces)
    return Usage(
        given or guess.input_tokens,
        made or guess.output_tokens,
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=kept.get("1h", 0),
        service_tier=tier,
        estimated=True,
    )
