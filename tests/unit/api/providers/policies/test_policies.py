"""What wraps a provider: limits, retries, fallbacks and measurements, in virtual time."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Token, Usage
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.policies.concurrency import ConcurrencyLimited, Slots
from chatfleet_api.providers.policies.fallback import Fallback
from chatfleet_api.providers.policies.instrumented import Instrumented, ModelLabels
from chatfleet_api.providers.policies.retry import MAX_RETRY_AFTER, Retrying, backoff
from chatfleet_api.providers.policies.retry_budget import RetryBudget
from chatfleet_api.providers.provider import Finish, Opened, Opening, StreamItem
from chatfleet_contract.providers import Retries
from harness.upstream.catalogue import HELLO, RecordingMeter, ask

pytestmark = pytest.mark.looptime
DONE = Finish("stop", Usage(output_tokens=2))
ANSWER = ((Token("a"), Token("b")), 1.0, (DONE,))


def overloaded(retry_after: float | None = None) -> ChatError:
    return ChatError(Code.UPSTREAM_OVERLOADED, retry_after=retry_after)


class Playing:
    """A provider that plays one of `plays` for each request, the last one for ever: batches, pauses, failures."""

    def __init__(self, *plays: Sequence[Sequence[StreamItem] | float | ChatError]) -> None:
        self.plays = list(plays)
        self.asked: list[float] = []
        self.open_streams = 0
        self.most_open = 0

    def open(self, request: ChatRequest) -> Opening:  # noqa: ARG002  # the port's
        return Opened(self._play())

    async def _play(self) -> AsyncGenerator[Sequence[StreamItem], None]:
        self.asked.append(asyncio.get_running_loop().time())
        play = self.plays.pop(0) if len(self.plays) > 1 else self.plays[0]
        self.open_streams += 1
        self.most_open = max(self.open_streams, self.most_open)
        try:
            for step in play:
                if isinstance(step, ChatError):
                    raise step
                if isinstance(step, int | float):
                    await asyncio.sleep(step)
                else:
                    yield step
        finally:
            self.open_streams -= 1


# ConcurrencyLimited


def limited(inner: Playing, slots: int, patience: float = 10.0) -> ConcurrencyLimited:
    return ConcurrencyLimited(inner, Slots(slots), timeout_seconds=patience)


async def test_no_more_requests_are_open_than_there_are_slots() -> None:
    inner = Playing(ANSWER)
    provider = limited(inner, 3)
    outcomes = await asyncio.gather(*(ask(provider) for _ in range(10)))
    assert all(outcome.error is None for outcome in outcomes)
    assert (inner.most_open, len(inner.asked)) == (3, 10)


async def test_nobody_waits_for_a_slot_for_ever() -> None:
    provider = limited(Playing(((Token("a"),), 100.0, (DONE,))), 1, patience=5)
    holding = asyncio.ensure_future(ask(provider))
    await asyncio.sleep(0.1)
    begun = asyncio.get_running_loop().time()
    outcome = await ask(provider)
    assert asyncio.get_running_loop().time() - begun == pytest.approx(5)
    assert outcome.error is not None
    assert (outcome.code, outcome.error.retry_after) == (Code.AT_CAPACITY, 1.0)
    assert (await holding).error is None


@pytest.mark.parametrize(
    "play", [(overloaded(),), ((Token("a"),), overloaded()), ANSWER], ids=["at once", "late", "no"]
)
async def test_a_failure_gives_its_slot_back(play: Sequence[Sequence[StreamItem] | float | ChatError]) -> None:
    slots = Slots(1)
    await ask(ConcurrencyLimited(Playing(play), slots, timeout_seconds=1))
    assert not slots.locked()


async def test_slots_tell_who_has_one_and_who_waits() -> None:
    slots = Slots(1)
    provider = ConcurrencyLimited(Playing((1.0, (DONE,))), slots, timeout_seconds=10)
    asking = [asyncio.ensure_future(ask(provider)) for _ in range(3)]
    await asyncio.sleep(0.5)
    assert (slots.taken, slots.limit, slots.queued) == (1, 1, 2)
    await asyncio.gather(*asking)
    assert (slots.taken, slots.queued) == (0, 0)


async def test_leaving_at_any_moment_gives_the_slot_back() -> None:
    slots = Slots(1)
    provider = ConcurrencyLimited(Playing((1.0, (Token("a"),), 1.0, (DONE,))), slots, timeout_seconds=10)
    for moment in (0.0, 0.5, 1.0, 1.5, 2.0):
        asking = [asyncio.ensure_future(ask(provider)) for _ in range(3)]
        await asyncio.sleep(moment)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        assert not slots.locked()


# Retrying


def retrying(inner: Playing, retries: Retries | None = None, rand: float = 0.0) -> tuple[Retrying, list[Code]]:
    told: list[Code] = []
    budget = RetryBudget(asyncio.get_running_loop().time)
    return Retrying(inner, retries or Retries(), on_retry=told.append, budget=budget, rand=lambda: rand), told


async def test_pauses_double_up_to_their_maximum_and_then_the_failure_is_told() -> None:
    inner = Playing((overloaded(),))
    provider, told = retrying(inner, Retries(max=4, initial_seconds=1, max_seconds=4))
    outcome = await ask(provider)
    assert outcome.code is Code.UPSTREAM_OVERLOADED
    assert inner.asked == pytest.approx([0, 1, 3, 7, 11], abs=0.01)
    assert told == [Code.UPSTREAM_OVERLOADED] * 4


async def test_the_first_answer_is_given_whole() -> None:
    inner = Playing((overloaded(),), (overloaded(),), ANSWER)
    provider, _ = retrying(inner)
    assert (await ask(provider)).pieces == [Token("a"), Token("b"), DONE]
    assert len(inner.asked) == 3


async def test_nothing_is_tried_again_once_a_piece_has_come() -> None:
    inner = Playing(((Token("a"),), overloaded()), ANSWER)
    provider, told = retrying(inner)
    outcome = await ask(provider)
    assert (outcome.text, outcome.code) == ("a", Code.UPSTREAM_OVERLOADED)
    assert (len(inner.asked), told) == (1, [])


@pytest.mark.parametrize(
    "code",
    [
        Code.UPSTREAM_AUTHENTICATION,
        Code.UPSTREAM_REJECTED,
        Code.CONTEXT_TOO_LONG,
        Code.MODEL_NOT_FOUND,
        Code.INVALID_REQUEST,
        Code.AT_CAPACITY,
    ],
)
async def test_what_would_fail_again_is_not_tried_again(code: Code) -> None:
    inner = Playing((ChatError(code),))
    provider, _ = retrying(inner)
    assert (await ask(provider)).code is code
    assert len(inner.asked) == 1


async def test_a_wait_that_is_asked_for_wins_and_one_too_long_is_passed_on() -> None:
    inner = Playing((overloaded(7),), (overloaded(0.1),), (overloaded(MAX_RETRY_AFTER + 1),), ANSWER)
    provider, _ = retrying(inner)
    outcome = await ask(provider)
    assert inner.asked == pytest.approx([0, 7, 7.1], abs=0.01)
    assert outcome.error is not None
    assert outcome.error.retry_after == MAX_RETRY_AFTER + 1


def test_chance_only_makes_pauses_longer() -> None:
    assert backoff(Retries(), 1, overloaded(), 1.0) == 1.25
    assert backoff(Retries(), 2, overloaded(), 0.5) == 2.25
    assert backoff(Retries(), 9, overloaded(3), 1.0) == 3.75


async def test_no_retries_means_one_attempt() -> None:
    inner = Playing((overloaded(),), ANSWER)
    provider, _ = retrying(inner, Retries(max=0))
    assert (await ask(provider)).code is Code.UPSTREAM_OVERLOADED


async def test_leaving_in_a_pause_ends_the_attempts() -> None:
    inner = Playing((overloaded(),))
    provider, _ = retrying(inner)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await ask(provider)
    await asyncio.sleep(10)
    assert (len(inner.asked), inner.open_streams) == (1, 0)


# Fallback


@pytest.mark.parametrize(
    "code", [Code.UPSTREAM_OVERLOADED, Code.UPSTREAM_AUTHENTICATION, Code.MODEL_NOT_FOUND, Code.AT_CAPACITY]
)
async def test_the_next_one_answers_when_one_cannot(code: Code) -> None:
    second = Playing(ANSWER)
    outcome = await ask(Fallback([Playing((ChatError(code),)), second]))
    assert (outcome.text, outcome.error) == ("ab", None)


@pytest.mark.parametrize("code", [Code.INVALID_REQUEST, Code.UPSTREAM_REJECTED, Code.CONTEXT_TOO_LONG])
async def test_the_callers_mistakes_are_told_and_not_repeated(code: Code) -> None:
    second = Playing(ANSWER)
    assert (await ask(Fallback([Playing((ChatError(code),)), second]))).code is code
    assert second.asked == []


async def test_nobody_takes_over_once_a_piece_has_come() -> None:
    second = Playing(ANSWER)
    outcome = await ask(Fallback([Playing(((Token("x"),), overloaded())), second]))
    assert (outcome.text, outcome.code, second.asked) == ("x", Code.UPSTREAM_OVERLOADED, [])


async def test_when_all_fail_the_failure_of_the_chosen_one_is_told_with_a_note_of_the_others() -> None:
    others = [Playing((ChatError(code),)) for code in (Code.UPSTREAM_AUTHENTICATION, Code.UPSTREAM_REJECTED)]
    outcome = await ask(Fallback([Playing((overloaded(),)), *others]))
    assert outcome.code is Code.UPSTREAM_OVERLOADED
    assert outcome.error is not None
    assert [note.split(": ")[1] for note in outcome.error.__notes__] == ["upstream_authentication", "upstream_rejected"]


# Instrumented


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
