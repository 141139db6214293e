"""What probes and the operator get to know of a pod."""

import asyncio
from decimal import Decimal

import pytest

from chatfleet_api.domain.events import Usage
from chatfleet_api.pod.configuration import local
from chatfleet_api.pod.lifecycle import Phase
from chatfleet_api.usage.record import Charge, Consumer, UsageRecord
from chatfleet_contract.report import CircuitState, Dependency, ModelOutcome, ReportedUsage, State, UpstreamTraffic
from harness.clock import ManualClock
from harness.pods.health import HealthOf

pytestmark = pytest.mark.looptime

UP = Dependency(state=State.UP)
DOWN = Dependency(state=State.DOWN, message="refused")


def test_a_pod_that_listens_is_started_ready_and_live() -> None:
    health = HealthOf().serve()
    assert (health.not_started(), health.not_ready(), health.not_live()) == (None, None, None)


def test_a_pod_that_does_not_listen_yet_is_neither_started_nor_ready() -> None:
    health = HealthOf().health
    assert health.not_started()
    assert health.not_ready()
    assert health.not_live() is None


def test_a_draining_pod_is_alive_and_not_ready() -> None:
    pod = HealthOf()
    health = pod.serve()
    pod.lifecycle.enter(Phase.LAST_CALL)
    assert health.not_ready() == "draining"
    assert health.not_live() is None
    assert health.not_started() is None


def test_a_full_pod_is_not_ready_until_a_stream_ends() -> None:
    pod = HealthOf()
    assert pod.serve(active=10).not_ready() == "all 10 streams are in use"
    assert pod.serve(active=9).not_ready() is None


async def test_a_main_loop_that_is_stuck_is_told_and_nothing_else_makes_a_pod_dead() -> None:
    pod = HealthOf(clock := ManualClock())
    health = pod.serve()
    pod.redis.state = DOWN
    await _check(pod, {"a": DOWN})
    clock.now += 9
    assert health.not_live() is None
    clock.now += 2
    assert health.not_live() == "the main loop has been stuck for 11 s"


@pytest.mark.feature(5, 25)
async def test_neither_redis_nor_an_upstream_decides_on_readiness() -> None:
    pod = HealthOf()
    health = pod.serve()
    pod.redis.state = DOWN
    await _check(pod, {"a": DOWN})
    assert health.not_ready() is None


async def test_the_report_tells_what_the_operator_needs() -> None:
    pod = HealthOf()
    health = pod.serve()
    pod.redis.state = DOWN
    pod.lifecycle.enter(Phase.DRAINING)
    pod.fake_upstreams.models = {"m": ModelOutcome(provider="a", state=State.DOWN, message="HTTP 404", seconds=4)}
    await _check(pod, {"a": UP})
    assert health.report().document() == {
        "pod": "p-1",
        "version": "1.2.3",
        "config": local().digest(),
        "authenticates": False,
        "accessErrors": [],
        "unpricedModels": [],
        "knowledgeErrors": [],
        "webhookErrors": [],
        "testRoutes": False,
        "draining": True,
        "activeStreams": 3,
        "maxStreams": 10,
        "tokensPerSecond": 0.0,
        "redis": {"state": "down", "message": "refused"},
        "upstreams": {"a": {"state": "up"}},
        "models": {"m": {"provider": "a", "state": "down", "message": "HTTP 404", "seconds": 4.0}},
    }


def test_redis_counts_as_up_unless_it_was_last_seen_down() -> None:
    pod = HealthOf()
    seen = []
    for state in (UP, DOWN, Dependency(state=State.UNKNOWN)):
        pod.redis.state = state
        seen.append(pod.health.redis_up())
    assert seen == [1, 0, 0]


async def test_an_upstream_is_down_as_soon_as_its_circuit_opens_and_up_as_soon_as_it_closes() -> None:
    pod = HealthOf()
    health, seen = pod.serve(), []
    await _check(pod, {"s": UP})
    for breaker in (CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN, CircuitState.CLOSED):
        pod.fake_upstreams.now = {"s": _traffic(breaker)}
        seen.append(health.report().upstreams["s"].state)
    assert seen == [State.UP, State.DOWN, State.DOWN, State.UP]


@pytest.mark.parametrize(
    ("seen", "outcome", "words"),
    [
        pytest.param(
            Dependency(state=State.DOWN, message="connection refused"), None, "connection refused", id="check"
        ),
        pytest.param(UP, "HTTP 500", "HTTP 500", id="requests"),
        pytest.param(UP, None, "after too many failures", id="nothing known yet"),
    ],
)
async def test_an_open_circuit_does_not_hide_its_cause(seen: Dependency, outcome: str | None, words: str) -> None:
    pod = HealthOf()
    health = pod.serve()
    if outcome:
        failing = ModelOutcome(provider="s", state=State.DOWN, message=outcome)
        pod.fake_upstreams.models = {"default": failing}
    await _check(pod, {"s": seen})
    pod.fake_upstreams.now = {"s": _traffic(CircuitState.OPEN)}

    message = health.report().upstreams["s"].message or ""
    assert words in message
    assert "the circuit breaker is open" in message


async def test_the_details_tell_how_old_a_check_is_and_what_goes_on() -> None:
    pod = HealthOf(clock := ManualClock())
    health = pod.serve()
    pod.fake_upstreams.now = {"s": _traffic(CircuitState.CLOSED)}
    await _check(pod, {"s": UP})
    clock.now += 7
    details = health.details()
    assert (details.upstreams["s"].seen, details.upstreams["s"].checked_seconds_ago) == (UP, 7)
    assert details.upstreams["s"].traffic == _traffic(CircuitState.CLOSED)
    assert (details.runs.active, details.runs.max_streams, details.fleet) == (3, 10, None)
    assert details.report == health.report()
    assert health.queued_upstream() == 1


def _traffic(breaker: CircuitState) -> UpstreamTraffic:
    return UpstreamTraffic(circuit=breaker, retries_left=3, active_requests=2, max_concurrent_requests=5, queued=1)


async def _check(pod: HealthOf, seen: dict[str, Dependency]) -> None:
    """Let the monitor check the upstreams once."""
    pod.fake_upstreams.seen = seen
    running = asyncio.ensure_future(pod.upstreams.run())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    running.cancel()


async def test_the_report_has_what_all_pods_have_used_today() -> None:
    pod = HealthOf()
    health = pod.serve()
    assert health.report().usage is None
    await pod.usage.read()
    assert health.report().usage == ReportedUsage(day="2026-01-02", cost_usd="0")
    charge = Charge("p", "m", "m-1", Usage(7, 3, cost_usd=Decimal("0.5")))
    pod.ledger.add(UsageRecord("r", "acme", Consumer(), "2026-01-02", "complete", (charge,)))
    pod.ledger.add(UsageRecord("s", "other", Consumer(), "2026-01-01", "complete", (charge,)))
    await pod.usage.read()
    expected = ReportedUsage(day="2026-01-02", input_tokens=7, output_tokens=3, cost_usd="0.5")
    assert health.report().usage == expected
