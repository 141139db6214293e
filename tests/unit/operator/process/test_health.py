"""The operator's own health, as a probe and Prometheus see it."""

import threading
from collections.abc import Callable
from functools import partial
from wsgiref.util import setup_testing_defaults

import pytest
from prometheus_client import CollectorRegistry

from chatfleet_contract import metrics
from chatfleet_operator.process.health import MAX_LAG_SECONDS, LoopHeartbeat, health_app
from chatfleet_operator.process.telemetry import Telemetry


def get(path: str, heartbeat: LoopHeartbeat, registry: CollectorRegistry | None = None) -> tuple[str, str]:
    environ: dict[str, object] = {"PATH_INFO": path}
    setup_testing_defaults(environ)
    answered: list[str] = []
    app = health_app(heartbeat, registry or CollectorRegistry())
    body = b"".join(app(environ, lambda status, _headers, _exc=None: answered.append(status)))  # type: ignore[arg-type]
    return answered[0], body.decode()


def heartbeat(*, started: bool = True, lag: float = 0.0) -> LoopHeartbeat:
    made = LoopHeartbeat(threading.Event(), lambda: 1000.0)
    made.record()
    made.recorded_at -= lag
    if started:
        made.started.set()
    return made


@pytest.mark.parametrize(
    ("state", "live", "ready"),
    [
        pytest.param(heartbeat, "200 OK", "200 OK", id="well"),
        pytest.param(partial(heartbeat, started=False), "200 OK", "503 Service Unavailable", id="not watching yet"),
        pytest.param(
            partial(heartbeat, lag=MAX_LAG_SECONDS + 1),
            "503 Service Unavailable",
            "503 Service Unavailable",
            id="the loop is stuck",
        ),
    ],
)
def test_live_and_ready(state: Callable[[], LoopHeartbeat], live: str, ready: str) -> None:
    assert get("/live", state())[0] == live
    assert get("/ready", state())[0] == ready


def test_an_unknown_path_names_the_known_ones() -> None:
    status, body = get("/healthz", heartbeat())

    assert status == "404 Not Found"
    assert "/live" in body


def test_metrics_are_for_prometheus() -> None:
    registry = CollectorRegistry()
    Telemetry(registry).wrote("patch", "Deployment")
    status, body = get("/metrics", heartbeat(), registry)

    assert status == "200 OK"
    assert f'{metrics.API_WRITES_TOTAL}{{kind="Deployment",verb="patch"}} 1.0' in body
