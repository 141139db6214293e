"""The preStop hook on the health port."""

import asyncio

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.types import ASGIApp

from chatfleet_api.pod.lifecycle import SIGNAL_SECONDS, Phase
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.pod.probes import DrainHook, create_health_app, health_routes
from chatfleet_contract.names import HEADER_DRAIN, PATH_DRAIN
from chatfleet_contract.report import ComponentHealth, Dependency, State
from harness.clients.asgi import Exchange, ask, asking, get
from harness.pods.health import HealthOf
from harness.pods.live import fixed
from harness.pods.runs import loop_clock

pytestmark = pytest.mark.looptime

TOKEN = "secret"


def health_app(pod: HealthOf, token: str = TOKEN) -> ASGIApp:
    return create_health_app(pod.serve(), Meter("1.2.3"), DrainHook(SecretStr(token), fixed(10), pod.lifecycle))


def serving_app(pod: HealthOf) -> ASGIApp:
    """Return the same routes as on the serving port."""
    app = FastAPI()
    app.include_router(health_routes(pod.serve(), Meter("1.2.3")))
    return app


def pre_stop(**headers: str) -> Exchange:
    return get(PATH_DRAIN, **(headers or {HEADER_DRAIN: TOKEN}))


async def test_a_pod_that_is_about_to_end_says_so_and_still_takes_requests_until_it_is_told_to_end() -> None:
    app = health_app(HealthOf())
    began = loop_clock()
    async with asking(app, pre_stop()) as hook:
        await asyncio.sleep(1)
        assert (await ask(app, get("/health"))).json()["draining"] is True
        assert (await ask(app, get("/ready"))).status == 200
        await hook
    assert loop_clock() - began == pytest.approx(10)


async def test_a_pod_whose_end_does_not_come_goes_on_as_if_nobody_had_told_of_it() -> None:
    pod = HealthOf(loop_clock)
    await ask(health_app(pod), pre_stop())
    assert (pod.lifecycle.terminating, pod.health.report().draining) == (True, True)
    await asyncio.sleep(SIGNAL_SECONDS)
    assert (pod.lifecycle.terminating, pod.health.report().draining, pod.health.not_ready()) == (False, False, None)


@pytest.mark.parametrize(
    ("token", "shown", "status"),
    [
        pytest.param("secret", {"accept": "*/*"}, 403, id="nothing"),
        pytest.param("secret", {HEADER_DRAIN: "secret?"}, 403, id="something else"),
        pytest.param("secret", {HEADER_DRAIN: "s\xe9cret"}, 403, id="no ASCII"),
        pytest.param("", {HEADER_DRAIN: ""}, 404, id="to a pod that nobody can tell"),
        pytest.param("secret", {HEADER_DRAIN: "secret"}, 200, id="what the kubelet shows"),
    ],
)
async def test_only_who_shows_the_pods_token_can_tell_it_of_its_end(
    token: str, shown: dict[str, str], status: int
) -> None:
    pod = HealthOf()
    assert (await ask(health_app(pod, token), pre_stop(**shown))).status == status
    assert pod.lifecycle.terminating is (status == 200)


@pytest.mark.feature(4)
async def test_one_component_is_shown_with_its_latency_and_since_when() -> None:
    pod = HealthOf(loop_clock)
    app = health_app(pod)
    assert (await ask(app, get("/health/redis"))).json() == {"component": "redis", "state": "unknown"}
    checking = asyncio.ensure_future(pod.redis.run())
    await asyncio.sleep(0.1)
    checking.cancel()
    shown = (await ask(app, get("/health/storage"))).json()
    assert shown == {
        "component": "storage",
        "state": "up",
        "latencyMilliseconds": 0.0,
        "since": "2026-01-02T00:00:00.000+00:00",
    }
    pod.archive = Dependency(state=State.DOWN, message="no route")
    archived = await ask(app, get("/health/storage"))
    assert (archived.status, archived.json()["message"]) == (200, "archive: no route")
    assert "message" not in (await ask(app, get("/health/redis"))).json()
    assert (await ask(app, get("/health"))).json()["archive"] == {"state": "down", "message": "no route"}
    pod.redis.state = Dependency(state=State.DOWN, message="refused")
    down = await ask(app, get("/health/redis"))
    assert (down.status, down.json()["message"]) == (503, "refused")
    assert (await ask(app, get("/health/nothing"))).status == 422


@pytest.mark.feature(4)
async def test_chromadb_is_a_component_without_names_for_callers() -> None:
    pod = HealthOf()
    health, serving = health_app(pod), serving_app(pod)
    assert (await ask(health, get("/health/chromadb"))).json() == {"component": "chromadb", "state": "unused"}
    down = {"state": "down", "latencyMilliseconds": 3.0, "since": "2026-01-02T00:00:00.000+00:00"}
    pod.collections = (ComponentHealth.model_validate({"component": "t/d/docs", "message": "refused", **down}),)
    shown = await ask(health, get("/health/chromadb"))
    message = "collection t/d/docs: refused"
    assert (shown.status, shown.json()) == (503, {"component": "chromadb", "message": message, **down})
    assert (await ask(serving, get("/health/chromadb"))).json() == {"component": "chromadb", **down}
    assert (await ask(health, get("/health"))).json()["chromadb"] == {"state": "down", "message": message}
    assert (await ask(serving, get("/health"))).json()["chromadb"] == {"state": "down"}
    (collection,) = (await ask(health, get("/health/detailed"))).json()["collections"]
    assert collection == {"component": "t/d/docs", "message": "refused", **down}
    assert (await ask(serving, get("/health/detailed"))).json()["collections"] == []


@pytest.mark.feature(2, 3)
async def test_a_pod_is_ok_or_unavailable_with_the_reason() -> None:
    pod = HealthOf()
    app = health_app(pod)
    assert (await ask(app, get("/health/simple"))).json() == {"status": "ok"}
    pod.lifecycle.enter(Phase.LAST_CALL)
    draining = await ask(app, get("/health/simple"))
    assert (draining.status, draining.json()) == (503, {"status": "unavailable", "message": "draining"})
