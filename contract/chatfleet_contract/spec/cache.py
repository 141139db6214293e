"""`spec.cache`: answers to equal deterministic requests, from Redis instead of their providers."""

from pydantic import Field

from chatfleet_contract.parts import Part


class Cache(Part):
    """The response cache. A change applies to running pods."""

    enabled: bool = Field(
        default=False,
        description="Answer a request that sets temperature to 0, or a seed, as an equal one of its tenant was answered"
        " before. Answers that were cut short or failed, and requests with tools, are never cached.",
    )
    ttl_seconds: int = Field(
        300, ge=1, le=86_400, description="Seconds for which an answer is used again. A change applies to all answers."
    )
    max_bytes: int = Field(
        67_108_864,
        ge=1_048_576,
        le=10_737_418_240,
        description="Most bytes of Redis that the answers of all tenants take together. The oldest are removed for new"
        " ones; one of more than 256 KiB is not cached.",
    )
