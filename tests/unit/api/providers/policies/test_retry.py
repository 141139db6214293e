"""Failures before the first token are tried again, after a back-off."""

import asyncio

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Token
from chatfleet_api.providers.policies.retry import MAX_RETRY_AFTER, Retrying, backoff
from chatfleet_api.providers.policies.retry_budget import RetryBudget
from chatfleet_contract.spec.providers import Retries
from harness.upstream.catalogue import ask
from harness.upstream.plays import ANSWER, DONE, Playing, overloaded

pytestmark = pytest.mark.looptime


def retrying(inner: Playing, retries: Retries | None = None, rand: float = 0.0) -> tuple[Retrying, list[Code]]:
    told: list[Code] = []
    budget = RetryBudget(asyncio.get_running_loop().time)
    return Retrying(inner, retries or Retries(), on_retry=told.append, budget=budget, rand=lambda: rand), told


@pytest.mark.feature(23)
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


@pytest.mark.feature(23)
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


async def test_a_failure_that_is_final_is_not_tried_again() -> None:
    failure = ChatError(Code.UPSTREAM_TIMEOUT)
    failure.final = True
    inner = Playing((failure,))
    provider, told = retrying(inner)
    assert (await ask(provider)).error is failure
    assert (len(inner.asked), told) == (1, [])


@pytest.mark.feature(23)
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
