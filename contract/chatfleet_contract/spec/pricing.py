"""`spec.models[].pricing`: what tokens of a model cost, where the shipped price list does not have it, or not so."""

from typing import Annotated, Final

from pydantic import Field

from chatfleet_contract.parts import Part, keyed, worded

MAX_TIERS: Final = 8
MAX_FACTORS: Final = 16

Price = Annotated[
    str,
    Field(
        max_length=19,
        pattern=r"^[0-9]{1,9}(\.[0-9]{1,9})?$",
        json_schema_extra=worded(
            "a price must be a decimal number in quotes, in USD for a million tokens; write it like '0.40'"
        ),
    ),
]
"""USD for a million tokens. Text, because a binary floating-point number has no 0.1."""
Factor = Annotated[
    str,
    Field(
        max_length=10,
        pattern=r"^[0-9]{1,3}(\.[0-9]{1,6})?$",
        json_schema_extra=worded("a factor must be a decimal number in quotes; write it like '0.5'"),
    ),
]
Word = Annotated[
    str,
    Field(
        max_length=32,
        pattern=r"^[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
        json_schema_extra=worded(
            "the name of a service tier or a region has lower-case letters, digits, dashes and underscores; write it"
            " like flex"
        ),
    ),
]


class Rates(Part):
    """Prices of the kinds of tokens."""

    input_per_million_tokens: Price = Field(description="Price of input tokens.")
    output_per_million_tokens: Price = Field(description="Price of output tokens.")
    cache_read_per_million_tokens: Price | None = Field(
        None, description="Price of input tokens that a prompt cache gave. Unset: that of input tokens."
    )
    cache_write_per_million_tokens: Price | None = Field(
        None, description="Price of input tokens that a prompt cache took. Unset: that of input tokens."
    )
    cache_write_30m_per_million_tokens: Price | None = Field(
        None,
        alias="cacheWrite30mPerMillionTokens",
        description="The same, for 30 minutes. Unset: as cache writes.",
    )
    cache_write_1h_per_million_tokens: Price | None = Field(
        None, alias="cacheWrite1hPerMillionTokens", description="The same, for an hour. Unset: that of cache writes."
    )
    cache_write_12h_per_million_tokens: Price | None = Field(
        None,
        alias="cacheWrite12hPerMillionTokens",
        description="The same, for 12 hours. Unset: the cost of an answer with such tokens is unknown.",
    )
    reasoning_per_million_tokens: Price | None = Field(
        None, description="Price of output tokens of reasoning. Unset: that of output tokens."
    )
    audio_input_per_million_tokens: Price | None = Field(
        None, description="Price of input tokens of audio. Unset: that of input tokens."
    )
    audio_output_per_million_tokens: Price | None = Field(
        None, description="Price of output tokens of audio. Unset: that of output tokens."
    )


class PriceTier(Rates):
    """Prices of requests with a long input. They hold for all tokens of such a request."""

    above_input_tokens: int = Field(
        ge=1, le=100_000_000, description="Requests with more input tokens than this have the prices of the tier."
    )


class PriceFactor(Part):
    """What the prices are multiplied by."""

    name: Word = Field(description="The vendor's own word for it in its answer, in lower case.")
    factor: Factor = Field(description="Factor of all prices.")


class Pricing(Rates):
    """What tokens of a model cost, in USD."""

    tiers: Annotated[
        list[PriceTier], Field(max_length=MAX_TIERS, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    ] = Field(default_factory=list, description="Prices of requests with a long input, in any order.")
    service_tiers: Annotated[list[PriceFactor], Field(max_length=MAX_FACTORS, json_schema_extra=keyed("name"))] = Field(
        default_factory=list,
        description="Factors by the service tier that answered, such as flex, priority or batch. The cost of an answer"
        " of another tier than the vendor's usual one is unknown without its factor.",
    )
    regions: Annotated[list[PriceFactor], Field(max_length=MAX_FACTORS, json_schema_extra=keyed("name"))] = Field(
        default_factory=list,
        description="Factors by the region that the vendor names in its answer. Without one, prices hold as they are.",
    )
