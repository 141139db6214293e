"""After a 429 that says for how long, a model gets no request until then, and then one before all others."""

import asyncio

import pytest
from typing_extensions import override

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.policies.concurrency import ConcurrencyLimited, Slots
from chatfleet_api.providers.policies.fallback import Fallback
from chatfleet_api.providers.policies.quota import (
    LEASE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    PATIENCE_SECONDS,
    Alone,
    Quota,
    QuotaChecked,
    QuotaKeeping,
    Scope,
    answering,
)
from chatfleet_api.providers.policies.retry import Retrying
from chatfleet_api.providers.policies.retry_budget import RetryBudget
from chatfleet_api.providers.provider import Opening, Provider
from chatfleet_contract.spec.providers import Retries
from harness.pods.runs import loop_clock
from harness.upstream.catalogue import Outcome, ask
from harness.upstream.plays import ANSWER, Playing

pytestmark = pytest.mark.looptime
SCOPE = Scope("up", "gpt-x")


def limited(seconds: float | None) -> tuple[ChatError]:
    return (ChatError(Code.UPSTREAM_RATE_LIMITED, retry_after=seconds),)


def quota() -> Quota:
    return Quota(SCOPE, Alone, on_pause=lambda: None, clock=loop_clock)


def keeping(inner: Provider, kept: Quota | None = None, *, patience: float = PATIENCE_SECONDS) -> QuotaKeeping:
    return QuotaKeeping(inner, kept or quota(), patience=patience)


def retrying(inner: Provider) -> Retrying:
    return Retrying(inner, Retries(max=3), on_retry=lambda _: None, budget=RetryBudget(loop_clock), rand=lambda: 0.0)


async def asked_later(provider: Provider, count: int, after: float = 0.1) -> list[Outcome]:
    """Return what so many requests at once come to, a moment after now."""
    await asyncio.sleep(after)
    return await asyncio.gather(*(ask(provider) for _ in range(count)))


async def test_while_the_pause_lasts_requests_wait_and_none_is_made() -> None:
    upstream = Playing(limited(2), ANSWER)
    provider = keeping(upstream)
    assert (await ask(provider)).code is Code.UPSTREAM_RATE_LIMITED
    outcomes = await asked_later(provider, 3)
    assert [each.text for each in outcomes] == ["ab"] * 3
    assert upstream.asked == [0, *[pytest.approx(2)] * 3]


async def test_one_probe_is_made_when_it_ends_and_the_others_wait_for_its_answer() -> None:
    upstream = Playing(limited(2), (0.5, *limited(3)), (0.5, *ANSWER), ANSWER)
    provider = keeping(upstream)
    await ask(provider)
    outcomes = await asked_later(provider, 4)
    assert upstream.asked == pytest.approx([0, 2, 5.5, 6, 6])
    assert [each.code for each in outcomes] == [Code.UPSTREAM_RATE_LIMITED, None, None, None]


async def test_a_probe_counts_when_the_upstream_accepts_it_and_not_at_its_first_token() -> None:
    class Accepting(Playing):
        @override
        def open(self, request: ChatRequest) -> Opening:
            answering()
            return super().open(request)

    kept, upstream = quota(), Accepting((5.0, *ANSWER))
    kept.pause(1)
    await asked_later(keeping(upstream, kept), 3)
    assert upstream.asked == pytest.approx([1, 1, 1])


@pytest.mark.parametrize("failure", [ChatError(Code.UPSTREAM_TIMEOUT), ChatError(Code.UPSTREAM_RATE_LIMITED)])
async def test_a_probe_that_shows_nothing_lets_the_next_request_be_one(failure: ChatError) -> None:
    upstream = Playing(limited(2), (1.0, failure), (1.0, *ANSWER), ANSWER)
    provider = keeping(upstream)
    await ask(provider)
    outcomes = await asked_later(provider, 3)
    assert sum(each.code is None for each in outcomes) == 2
    assert upstream.asked == pytest.approx([0, 2, 3, 4])


async def test_a_probe_that_gets_no_response_is_followed_by_another() -> None:
    kept, upstream = quota(), Playing((60.0,), ANSWER)
    kept.pause(1)
    hanging = asyncio.ensure_future(ask(keeping(upstream, kept)))
    await asyncio.sleep(2)
    assert (await ask(keeping(upstream, kept))).text == "ab"
    hanging.cancel()
    assert upstream.asked == pytest.approx([1, 1 + LEASE_SECONDS])


async def test_a_probe_whose_client_leaves_lets_the_next_request_be_one() -> None:
    kept, upstream = quota(), Playing((60.0,), ANSWER)
    kept.pause(1)
    leaving = asyncio.ensure_future(ask(keeping(upstream, kept)))
    await asyncio.sleep(2)
    staying = asyncio.ensure_future(ask(keeping(upstream, kept)))
    await asyncio.sleep(1)
    leaving.cancel()
    assert (await staying).text == "ab"
    assert upstream.asked == pytest.approx([1, 3])


async def test_a_pause_that_is_too_long_is_told_with_the_time_that_is_left_of_it() -> None:
    upstream = Playing(limited(100), ANSWER)
    provider = retrying(keeping(upstream))
    assert [(await ask(provider)).code for _ in range(2)] == [Code.UPSTREAM_RATE_LIMITED] * 2
    (outcome,) = await asked_later(provider, 1, after=40)
    assert outcome.error is not None
    assert outcome.error.retry_after == pytest.approx(60)
    (answered,) = await asked_later(provider, 1, after=40)
    assert answered.text == "ab"
    assert upstream.asked == pytest.approx([0, 100])


async def test_requests_that_are_not_tried_again_do_not_wait() -> None:
    upstream = Playing(limited(2), ANSWER)
    provider = keeping(upstream, patience=0)
    await ask(provider)
    (outcome,) = await asked_later(provider, 1, after=0.5)
    assert outcome.error is not None
    assert loop_clock() == 0.5
    assert outcome.error.retry_after == pytest.approx(1.5)


async def test_a_year_is_not_believed() -> None:
    upstream = Playing(limited(3e8), ANSWER)
    provider = keeping(upstream)
    await ask(provider)
    (outcome,) = await asked_later(provider, 1, after=LONGEST_PAUSE_SECONDS)
    assert outcome.text == "ab"


@pytest.mark.parametrize("failure", [limited(None), limited(0), (ChatError(Code.UPSTREAM_OVERLOADED, retry_after=9),)])
async def test_what_gives_no_time_or_is_no_quota_pauses_nothing(failure: tuple[ChatError]) -> None:
    kept = quota()
    await ask(keeping(Playing(failure), kept))
    assert not kept.paused


async def test_waiting_costs_no_retries() -> None:
    upstream = Playing(limited(5), ANSWER)
    budget = RetryBudget(loop_clock)
    provider = Retrying(keeping(upstream), Retries(max=1), on_retry=lambda _: None, budget=budget, rand=lambda: 0.0)
    first = asyncio.ensure_future(ask(provider))
    assert [each.text for each in await asked_later(provider, 50)] == ["ab"] * 50
    assert (await first).text == "ab"
    assert budget.left >= 9


async def test_a_request_that_waits_for_a_slot_when_the_pause_begins_is_not_sent() -> None:
    kept, slots, upstream = quota(), Slots(1), Playing((1.0, *limited(5)), ANSWER)
    provider = keeping(ConcurrencyLimited(QuotaChecked(upstream, kept), slots, timeout_seconds=60), kept)
    first = asyncio.ensure_future(ask(provider))
    (outcome,) = await asked_later(provider, 1)
    assert (await first).code is Code.UPSTREAM_RATE_LIMITED
    assert outcome.text == "ab"
    assert upstream.asked == pytest.approx([0, 6])


async def test_a_request_with_a_fallback_goes_there_at_once_and_waits_only_at_the_last() -> None:
    kept = [quota(), quota()]
    upstreams = [Playing(limited(9), ANSWER), Playing(ANSWER, limited(2), ANSWER)]
    hurried, patient = (
        [retrying(keeping(up, its, patience=seconds)) for up, its in zip(upstreams, kept, strict=True)]
        for seconds in (0.0, PATIENCE_SECONDS)
    )
    provider = Fallback(hurried, (), patient)
    assert (await ask(provider)).text == "ab"
    began = loop_clock()
    assert (await ask(provider)).text == "ab"
    assert upstreams[0].asked == [0]
    assert upstreams[1].asked == pytest.approx([0, began, began + 2])


async def test_what_others_let_know_counts_as_if_it_had_been_seen() -> None:
    kept, upstream = quota(), Playing(ANSWER)
    kept.pause(3)
    kept.pause(1)
    waiting = asyncio.ensure_future(asked_later(keeping(upstream, kept), 2))
    await asyncio.sleep(1.5)
    kept.resume()
    await waiting
    assert upstream.asked == pytest.approx([1.5, 1.5])


async def test_while_another_pod_probes_this_one_waits_for_it() -> None:
    class Others(Alone):
        @override
        async def probe(self, scope: Scope) -> float | None:
            return waits.pop(0)

    waits = [LEASE_SECONDS, 0.0]
    others, upstream = Others(), Playing(ANSWER)
    kept = Quota(SCOPE, lambda: others, on_pause=lambda: None, clock=loop_clock)
    kept.pause(1)
    await asked_later(keeping(upstream, kept), 3)
    assert upstream.asked == pytest.approx([1 + LEASE_SECONDS, *[1 + LEASE_SECONDS] * 2])
