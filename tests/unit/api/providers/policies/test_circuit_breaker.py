"""The circuit breaker stops requests to an upstream that fails too often, and lets them through again."""

import asyncio

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.http.pool import ConnectionPool
from chatfleet_api.providers.environment import Environment
from chatfleet_api.providers.policies.circuit_breaker import (
    FIRST_PAUSE_SECONDS,
    MIN_ATTEMPTS,
    SUSPECTED_MIN_ATTEMPTS,
    WINDOW,
    WINDOW_SECONDS,
    CircuitBreaker,
    CircuitBreaking,
)
from chatfleet_api.providers.registry import Registry
from chatfleet_contract import report
from chatfleet_contract.runtime import RuntimeProvider
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model, Retries
from harness.pods.runs import STOP, FakeProvider, loop_clock, text
from harness.upstream.catalogue import RecordingMeter, ask, config_of

pytestmark = pytest.mark.looptime


class Upstream(FakeProvider):
    """A provider whose script can be changed."""

    def fail(self, code: Code = Code.UPSTREAM_ERROR) -> None:
        self.steps = (ChatError(code),)

    def heal(self) -> None:
        self.steps = (text("a"), [STOP])


class ProtectedUpstream:
    """An upstream behind a circuit breaker."""

    def __init__(self) -> None:
        self.changes: list[bool] = []
        self.upstream = Upstream()
        self.breaker = CircuitBreaker(on_change=self.changes.append, clock=loop_clock)
        self.provider = CircuitBreaking(self.upstream, self.breaker)

    async def ask(self, times: int = 1) -> list[Code | None]:
        return [(await ask(self.provider)).code for _ in range(times)]

    @property
    def asked(self) -> int:
        return len(self.upstream.asked)


async def broken() -> ProtectedUpstream:
    """Return one whose circuit is open."""
    protected = ProtectedUpstream()
    protected.upstream.fail()
    await protected.ask(MIN_ATTEMPTS)
    return protected


async def test_who_fails_too_often_is_not_asked_and_the_caller_is_told_when_to_return() -> None:
    protected = await broken()
    outcome = await ask(protected.provider)
    assert (outcome.code, protected.asked, protected.changes) == (Code.UPSTREAM_CIRCUIT_OPEN, MIN_ATTEMPTS, [True])
    assert outcome.error is not None
    assert outcome.error.retry_after == pytest.approx(FIRST_PAUSE_SECONDS)


async def test_a_few_failures_prove_nothing() -> None:
    protected = ProtectedUpstream()
    protected.upstream.fail()
    await protected.ask(MIN_ATTEMPTS - 1)
    protected.upstream.heal()
    assert await protected.ask() == [None]


async def test_failures_among_more_answers_are_borne() -> None:
    protected = ProtectedUpstream()
    for _ in range(WINDOW):
        protected.upstream.heal()
        await protected.ask(2)
        protected.upstream.fail()
        await protected.ask()
    assert protected.changes == []


async def test_failures_of_long_ago_do_not_count() -> None:
    protected = ProtectedUpstream()
    protected.upstream.fail()
    await protected.ask(MIN_ATTEMPTS - 1)
    await asyncio.sleep(WINDOW_SECONDS + 1)
    await protected.ask()
    assert protected.changes == []


@pytest.mark.parametrize(
    "code", [Code.UPSTREAM_REJECTED, Code.UPSTREAM_AUTHENTICATION, Code.UPSTREAM_RATE_LIMITED, Code.AT_CAPACITY]
)
async def test_what_is_not_the_upstreams_trouble_does_not_count(code: Code) -> None:
    protected = ProtectedUpstream()
    protected.upstream.fail(code)
    await protected.ask(2 * MIN_ATTEMPTS)
    assert (protected.asked, protected.changes) == (2 * MIN_ATTEMPTS, [])


async def test_an_answer_that_breaks_off_counts() -> None:
    protected = ProtectedUpstream()
    protected.upstream.steps = (text("a"), ChatError(Code.UPSTREAM_TRUNCATED))
    await protected.ask(MIN_ATTEMPTS)
    assert protected.changes == [True]


async def test_another_pods_word_lets_it_conclude_from_less_for_a_while_but_from_nothing() -> None:
    protected = ProtectedUpstream()
    protected.upstream.fail()
    protected.breaker.suspect()
    assert await protected.ask(SUSPECTED_MIN_ATTEMPTS + 1) == [
        *[Code.UPSTREAM_ERROR] * SUSPECTED_MIN_ATTEMPTS,
        Code.UPSTREAM_CIRCUIT_OPEN,
    ]
    other = ProtectedUpstream()
    other.breaker.suspect()
    await asyncio.sleep(WINDOW_SECONDS)
    other.upstream.fail()
    await other.ask(MIN_ATTEMPTS - 1)
    assert (protected.changes, other.changes) == ([True], [])


async def test_one_answer_after_the_pause_ends_it() -> None:
    protected = await broken()
    await asyncio.sleep(FIRST_PAUSE_SECONDS)
    protected.upstream.heal()
    assert await protected.ask(3) == [None] * 3
    assert protected.changes == [True, False]


async def test_a_probe_that_fails_doubles_the_pause() -> None:
    protected = await broken()
    await asyncio.sleep(FIRST_PAUSE_SECONDS)
    assert await protected.ask(2) == [Code.UPSTREAM_ERROR, Code.UPSTREAM_CIRCUIT_OPEN]
    await asyncio.sleep(2 * FIRST_PAUSE_SECONDS - 0.1)
    assert await protected.ask() == [Code.UPSTREAM_CIRCUIT_OPEN]
    await asyncio.sleep(0.1)
    assert await protected.ask() == [Code.UPSTREAM_ERROR]
    assert protected.changes == [True]


async def test_who_is_back_after_a_long_time_is_asked_again_within_15_seconds() -> None:
    protected = await broken()
    for _ in range(260):
        await asyncio.sleep(1)
        await protected.ask()
    protected.upstream.heal()
    await asyncio.sleep(15)
    assert await protected.ask() == [None]


async def test_one_probes_at_a_time_also_when_it_is_given_up() -> None:
    protected = await broken()
    await asyncio.sleep(FIRST_PAUSE_SECONDS)
    protected.upstream.steps = (60.0, [STOP])
    probe = asyncio.ensure_future(ask(protected.provider))
    await asyncio.sleep(1)
    assert await protected.ask() == [Code.UPSTREAM_CIRCUIT_OPEN]
    probe.cancel()
    await asyncio.wait([probe])
    protected.upstream.heal()
    assert await protected.ask() == [None]


async def test_failures_from_before_the_pause_do_not_prolong_it() -> None:
    protected = ProtectedUpstream()
    protected.upstream.steps = (3.0, ChatError(Code.UPSTREAM_TIMEOUT))
    late = asyncio.ensure_future(ask(protected.provider))
    await asyncio.sleep(0.1)
    protected.upstream.fail()
    await protected.ask(MIN_ATTEMPTS)
    await late
    await asyncio.sleep(FIRST_PAUSE_SECONDS - 2.9)
    protected.upstream.heal()
    assert await protected.ask() == [None]


async def test_models_of_one_provider_share_its_circuit_breaker_and_fallbacks_answer_at_once() -> None:
    meter = RecordingMeter()
    providers = [RuntimeProvider(name=name, type=ProviderType.SCRIPTED, retries=Retries(max=3)) for name in "st"]
    models = [
        Model(name="a", provider="s", model="count-0:upstream_error", fallbacks=["c"]),
        Model(name="b", provider="s", model="count-3"),
        Model(name="c", provider="t", model="count-2"),
    ]
    catalogue = Registry(Environment(ConnectionPool(), meter, loop_clock, lambda: 0.0)).catalogue(
        config_of(*providers, models=models)
    )
    for _ in range(3):
        assert (await ask(catalogue.provider("a"), ChatRequest("a", ()))).text == "1 2"
    assert (await ask(catalogue.provider("b"), ChatRequest("b", ()))).code is Code.UPSTREAM_CIRCUIT_OPEN
    before = loop_clock()
    assert (await ask(catalogue.provider("a"), ChatRequest("a", ()))).text == "1 2"
    assert loop_clock() == before
    assert meter.circuits == [("s", True)]
    assert {name: seen.circuit for name, seen in catalogue.traffic().items()} == {
        "s": report.CircuitState.OPEN,
        "t": report.CircuitState.CLOSED,
    }
