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


class World:
    """An upstream behind a circuit breaker."""

    def __init__(self) -> None:
        self.changes: list[bool] = []
        self.upstream = Upstream()
        self.provider = CircuitBreaking(self.upstream, CircuitBreaker(on_change=self.changes.append, clock=loop_clock))

    async def ask(self, times: int = 1) -> list[Code | None]:
        return [(await ask(self.provider)).code for _ in range(times)]

    @property
    def asked(self) -> int:
        return len(self.upstream.asked)


async def broken() -> World:
    """Return a world whose circuit is open."""
    world = World()
    world.upstream.fail()
    await world.ask(MIN_ATTEMPTS)
    return world


async def test_who_fails_too_often_is_not_asked_and_the_caller_is_told_when_to_return() -> None:
    world = await broken()
    outcome = await ask(world.provider)
    assert (outcome.code, world.asked, world.changes) == (Code.UPSTREAM_CIRCUIT_OPEN, MIN_ATTEMPTS, [True])
    assert outcome.error is not None
    assert outcome.error.retry_after == pytest.approx(FIRST_PAUSE_SECONDS)


async def test_a_few_failures_prove_nothing() -> None:
    world = World()
    world.upstream.fail()
    await world.ask(MIN_ATTEMPTS - 1)
    world.upstream.heal()
    assert await world.ask() == [None]


async def test_failures_among_more_answers_are_borne() -> None:
    world = World()
    for _ in range(WINDOW):
        world.upstream.heal()
        await world.ask(2)
        world.upstream.fail()
        await world.ask()
    assert world.changes == []


async def test_failures_of_long_ago_do_not_count() -> None:
    world = World()
    world.upstream.fail()
    await world.ask(MIN_ATTEMPTS - 1)
    await asyncio.sleep(WINDOW_SECONDS + 1)
    await world.ask()
    assert world.changes == []


@pytest.mark.parametrize(
    "code", [Code.UPSTREAM_REJECTED, Code.UPSTREAM_AUTHENTICATION, Code.UPSTREAM_RATE_LIMITED, Code.AT_CAPACITY]
)
async def test_what_is_not_the_upstreams_trouble_does_not_count(code: Code) -> None:
    world = World()
    world.upstream.fail(code)
    await world.ask(2 * MIN_ATTEMPTS)
    assert (world.asked, world.changes) == (2 * MIN_ATTEMPTS, [])


async def test_an_answer_that_breaks_off_counts() -> None:
    world = World()
    world.upstream.steps = (text("a"), ChatError(Code.UPSTREAM_TRUNCATED))
    await world.ask(MIN_ATTEMPTS)
    assert world.changes == [True]


async def test_one_answer_after_the_pause_ends_it() -> None:
    world = await broken()
    await asyncio.sleep(FIRST_PAUSE_SECONDS)
    world.upstream.heal()
    assert await world.ask(3) == [None] * 3
    assert world.changes == [True, False]


async def test_a_probe_that_fails_doubles_the_pause() -> None:
    world = await broken()
    await asyncio.sleep(FIRST_PAUSE_SECONDS)
    assert await world.ask(2) == [Code.UPSTREAM_ERROR, Code.UPSTREAM_CIRCUIT_OPEN]
    await asyncio.sleep(2 * FIRST_PAUSE_SECONDS - 0.1)
    assert await world.ask() == [Code.UPSTREAM_CIRCUIT_OPEN]
    await asyncio.sleep(0.1)
    assert await world.ask() == [Code.UPSTREAM_ERROR]
    assert world.changes == [True]


async def test_who_is_back_after_a_long_time_is_asked_again_within_15_seconds() -> None:
    world = await broken()
    for _ in range(260):
        await asyncio.sleep(1)
        await world.ask()
    world.upstream.heal()
    await asyncio.sleep(15)
    assert await world.ask() == [None]


async def test_one_probes_at_a_time_also_when_it_is_given_up() -> None:
    world = await broken()
    await asyncio.sleep(FIRST_PAUSE_SECONDS)
    world.upstream.steps = (60.0, [STOP])
    probe = asyncio.ensure_future(ask(world.provider))
    await asyncio.sleep(1)
    assert await world.ask() == [Code.UPSTREAM_CIRCUIT_OPEN]
    probe.cancel()
    await asyncio.wait([probe])
    world.upstream.heal()
    assert await world.ask() == [None]


async def test_failures_from_before_the_pause_do_not_prolong_it() -> None:
    world = World()
    world.upstream.steps = (3.0, ChatError(Code.UPSTREAM_TIMEOUT))
    late = asyncio.ensure_future(ask(world.provider))
    await asyncio.sleep(0.1)
    world.upstream.fail()
    await world.ask(MIN_ATTEMPTS)
    await late
    await asyncio.sleep(FIRST_PAUSE_SECONDS - 2.9)
    world.upstream.heal()
    assert await world.ask() == [None]


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
    assert {name: seen.breaker for name, seen in catalogue.traffic().items()} == {
        "s": report.CircuitState.OPEN,
        "t": report.CircuitState.CLOSED,
    }
