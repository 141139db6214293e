"""The most that tokens may cost is that of the dearest way to count them."""

from hypothesis import given, settings
from hypothesis import strategies as st

from chatfleet_api.domain.events import Usage
from chatfleet_api.usage.rates import Rate, cost_of, most_of

prices = st.decimals(0, 100, places=9)
rates = st.builds(
    lambda base, above: Rate(base, tuple(sorted(above.items()))),
    prices,
    st.dictionaries(st.integers(1, 3000), prices, max_size=2),
)
kinds = st.sampled_from(["input", "output", "cache_read", "cache_write", "cache_write_1h", "reasoning"])
tokens = st.one_of(st.just(0), st.integers(1, 4000))


@settings(max_examples=200)
@given(known=st.dictionaries(kinds, rates), inputs=tokens, outputs=tokens)
def test_the_most_is_the_dearest_of_what_a_prompt_cache_may_take(
    known: dict[str, Rate], inputs: int, outputs: int
) -> None:
    costs = [
        cost_of(Usage(inputs, outputs, cache_write_tokens=written, cache_write_1h_tokens=for_an_hour), known)
        for written, for_an_hour in ((0, 0), (inputs, 0), (inputs, inputs))
    ]
    assert most_of(inputs, outputs, known) == max((cost for cost in costs if cost is not None), default=None)
