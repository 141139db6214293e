"""Probes, the pod's report, and metrics: the same on the serving port and on the health port."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from prometheus_client import CONTENT_TYPE_LATEST

from chatfleet_api.health import Health
from chatfleet_api.telemetry import Meter


def health_routes(health: Health, meter: Meter) -> APIRouter:
    """Return the routes of health."""
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

    @router.get("/metrics")
    async def metrics(names: Annotated[list[str], Query(alias="name[]")] = []) -> Response:  # noqa: B006  # never changed
        """Return the metrics in Prometheus' text format: all, or the series that are named."""
        return Response(meter.exposition(names), media_type=CONTENT_TYPE_LATEST)

    return router


def _told(why_not: str | None) -> Response:
    return Response(why_not or "ok", 503 if why_not else 200, media_type="text/plain")
