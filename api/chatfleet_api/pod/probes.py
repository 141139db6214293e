"""Probes, the pod's report, and metrics: the same on the serving port and on the health port."""

import asyncio
import hmac
from collections.abc import Callable
from typing import Annotated, Final, NamedTuple, Protocol

from fastapi import APIRouter, Header, Query, Response
from prometheus_client import CONTENT_TYPE_LATEST

from chatfleet_api.pod.health import Health
from chatfleet_api.pod.metrics import Meter
from chatfleet_contract.names import HEADER_DRAIN, PATH_DRAIN

SIGNAL_SECONDS: Final = 5.0
"""Within this time of the hook's answer SIGTERM comes; else it was not the kubelet who asked."""


class Hook(NamedTuple):
    """How a pod is told of its end."""

    token: str
    """Shown by the kubelet, which has it from the same manifest as the pod; empty: nobody can tell."""
    seconds: Callable[[], float]
    """How long load balancers get to forget the pod."""


class Probed(Protocol):
    """A process that is asked how it is. Each returns why not, or None."""

    def not_live(self) -> str | None:
        """Return why this process should be restarted."""
        ...

    def not_ready(self) -> str | None:
        """Return why it should get no new requests."""
        ...

    def not_started(self) -> str | None:
        """Return why it has not started yet."""
        ...


def probe_routes(health: Probed, meter: Meter) -> APIRouter:
    """Return the routes of probes and metrics."""
    router = APIRouter(tags=["Health"])

    @router.get("/live")
    async def live() -> Response:
        """Tell whether the process is alive; 503 asks for a restart."""
        return _told(health.not_live())

    @router.get("/ready")
    async def ready() -> Response:
        """Tell whether this pod takes requests; 503 while it does not."""
        return _told(health.not_ready())

    @router.get("/startup")
    async def startup() -> Response:
        """Tell whether this pod has started; 503 until then."""
        return _told(health.not_started())

    @router.get("/metrics")
    async def metrics(names: Annotated[list[str], Query(alias="name[]")] = []) -> Response:  # noqa: B006  # never changed
        """Return the metrics in Prometheus' text format: all, or the series that are named."""
        return Response(meter.exposition(names), media_type=CONTENT_TYPE_LATEST)

    return router


def health_routes(health: Health, meter: Meter) -> APIRouter:
    """Return the routes of a pod's health."""
    router = probe_routes(health, meter)

    @router.get("/health")
    async def report() -> Response:
        """Return this pod's own account: configuration, load, Redis, upstreams."""
        return Response(
            health.report().model_dump_json(by_alias=True, exclude_none=True), media_type="application/json"
        )

    @router.get("/health/detailed")
    async def details() -> Response:
        """Return all that this pod knows of itself: for people who look for the cause of something."""
        return Response(
            health.details().model_dump_json(by_alias=True, exclude_none=True), media_type="application/json"
        )

    return router


def drain_route(health: Health, hook: Hook) -> APIRouter:
    """Return the route by which the kubelet, and nobody else who reaches the port, tells a pod that it is to end."""
    router = APIRouter()

    @router.get(PATH_DRAIN)
    async def drain(shown: Annotated[str, Header(alias=HEADER_DRAIN)] = "") -> Response:
        """Answer when load balancers have had the time to forget this pod."""
        if not hmac.compare_digest(shown.encode(), hook.token.encode()):
            return Response("only the kubelet is believed", 403, media_type="text/plain")
        pause = hook.seconds()
        health.leave(pause + SIGNAL_SECONDS)
        await asyncio.sleep(pause)
        return _told(None)

    return router


def _told(why_not: str | None) -> Response:
    return Response(why_not or "ok", 503 if why_not else 200, media_type="text/plain")
