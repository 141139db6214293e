"""Every attempt is measured: its result, its time to first token, its tokens."""

import asyncio

import pytest

from chatfleet_api.domain.errors import Code
from chatfleet_api.domain.events import Token, Usage
from chatfleet_api.providers.policies.instrumented import Instrumented, ModelLabels
from chatfleet_api.providers.provider import Finish
from chatfleet_api.usage.attempts import accepted, noting
from harness.upstream.catalogue import HELLO, RecordingMeter, ask
from harness.upstream.plays import ANSWER, DONE, Playing, overloaded

pytestmark = pytest.mark.looptime


def measured(inner: Playing) -> tuple[Instrumented, RecordingMeter]:
    meter = RecordingMeter()
    clock = asyncio.get_running_loop().time
    return Instrumented(inner, ModelLabels("p", "m", "m-2026"), meter=meter, clock=clock), meter


async def test_an_answer_is_measured_by_the_providers_own_numbers() -> None:
    provider, meter = measured(Playing((0.5, *ANSWER)))
    await ask(provider)
    assert meter.attempts == [("p", "m", None)]
    assert meter.first_tokens == pytest.approx([0.5], abs=0.01)
    assert meter.usage == [DONE.usage]


async def test_output_is_counted_while_it_comes_and_corrected_at_the_end() -> None:
    """An answer of 40 pieces, of which the provider says that they were 50 tokens."""
    pieces = [[Token("a")] * 10] * 4
    provider, meter = measured(Playing((*pieces, (Finish("stop", Usage(7, 50)),))))
    async with provider.open(HELLO) as batches:
        for _ in range(3):
            await anext(batches)
        assert sum(usage.output_tokens for usage in meter.usage) == 20
        async for _ in batches:
            pass
    assert sum(usage.output_tokens for usage in meter.usage) == 50
    assert sum(usage.input_tokens for usage in meter.usage) == 7


async def test_what_was_counted_too_much_is_not_taken_back() -> None:
    provider, meter = measured(Playing(([Token("a")] * 40, (Finish("stop", Usage(7, 30)),))))
    await ask(provider)
    assert [usage.output_tokens for usage in meter.usage] == [40, 0]


async def test_the_finish_says_who_answered() -> None:
    provider, _ = measured(Playing(ANSWER))
    async with provider.open(HELLO) as batches:
        last = [piece async for pieces in batches for piece in pieces][-1]
    assert isinstance(last, Finish)
    assert (last.provider, last.upstream_model) == ("p", "m-2026")


async def test_a_failure_without_a_token_uses_none() -> None:
    provider, meter = measured(Playing((overloaded(),)))
    await ask(provider)
    assert meter == RecordingMeter(attempts=[("p", "m", Code.UPSTREAM_OVERLOADED)])


async def test_what_was_cut_off_is_estimated_and_marked() -> None:
    provider, meter = measured(Playing(((Token("a"), Token("b")), overloaded())))
    await ask(provider)
    assert meter.usage == [Usage(input_tokens=3, output_tokens=2, estimated=True)]


async def test_leaving_is_told_as_such_and_what_came_is_counted() -> None:
    provider, meter = measured(Playing(ANSWER))
    async with provider.open(HELLO) as batches:
        await anext(batches)
    assert meter.attempts == [("p", "m", Code.CANCELLED)]
    assert [usage.estimated for usage in meter.usage] == [True]


async def test_leaving_at_the_finish_is_no_leaving() -> None:
    provider, meter = measured(Playing(((DONE,),)))
    async with provider.open(HELLO) as batches:
        await anext(batches)
    assert meter.attempts == [("p", "m", None)]


async def test_an_attempt_counts_by_what_came_of_it_and_as_wasted_if_it_was_accepted_and_nothing_came() -> None:
    whole, _ = measured(Playing(ANSWER))
    cut, _ = measured(Playing(([Token("a")] * 3, overloaded())))
    refused, _ = measured(Playing((overloaded(),)))
    with noting() as attempts:
        await ask(whole)
        await ask(cut)
        await ask(refused)
        accepted()
        await ask(refused)
    assert [(attempt.usage.output_tokens, attempt.wasted) for attempt in attempts.ended] == [
        (DONE.usage.output_tokens, False),
        (3, False),
        (0, True),
    ]
    assert [attempt.usage.estimated for attempt in attempts.ended] == [False, True, True]
    assert {attempt[:3] for attempt in attempts.ended} == {("p", "m", "m-2026")}
