"""Probes, the pod's report, and metrics: on the health port, and without what is of tenants on the serving port."""

import asyncio
import hmac
from typing import Annotated, Final, Literal, NamedTuple, Protocol

from fastapi import APIRouter, FastAPI, Header, Query, Response
from prometheus_client.exposition import choose_encoder
from pydantic import SecretStr
from starlette.types import ASGIApp

from chatfleet_api.domain.live import Live
from chatfleet_api.pod.collections import CHROMADB
from chatfleet_api.pod.health import Health
from chatfleet_api.pod.lifecycle import Lifecycle
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.web.middleware.head import Head
from chatfleet_contract.names import (
    HEADER_DRAIN,
    PATH_DRAIN,
    PATH_HEALTH,
    PATH_LIVE,
    PATH_METRICS,
    PATH_READY,
    PATH_STARTUP,
)
from chatfleet_contract.parts import Part
from chatfleet_contract.report import ComponentState, PodReport, SimpleHealth


class DrainHook(NamedTuple):
    """The preStop hook: the kubelet announces the end of the pod."""

    token: SecretStr
    """Sent by the kubelet, which has it from the same manifest as the pod; empty: the hook is not served."""
    seconds: Live[float]
    """Time that load balancers have to remove the pod from their endpoints."""
    lifecycle: Lifecycle


class ProbeSource(Protocol):
    """A process with probes. Each method returns a reason, or None."""

    def not_live(self) -> str | None:
        """Return why this process should be restarted."""
        ...

    def not_ready(self) -> str | None:
        """Return why it should get no new requests."""
        ...

    def not_started(self) -> str | None:
        """Return why it has not started yet."""
        ...


def probe_routes(health: ProbeSource, meter: Meter, *, tenants: bool = True) -> APIRouter:
    """Return the probes and the metrics; without `tenants`, these have no series of a tenant."""
    router = APIRouter(tags=["Health"])

    @router.get(PATH_LIVE)
    async def live() -> Response:
        """Liveness probe: 503 when the process must be restarted."""
        return _probe_response(health.not_live())

    @router.get(PATH_READY)
    async def ready() -> Response:
        """Readiness probe: 503 while this pod should get no requests."""
        return _probe_response(health.not_ready())

    @router.get(PATH_STARTUP)
    async def startup() -> Response:
        """Startup probe: 503 until this pod has started."""
        return _probe_response(health.not_started())

    @router.get(PATH_METRICS)
    async def metrics(
        names: Annotated[list[str], Query(alias="name[]")] = [],  # noqa: B006  # never changed
        accept: Annotated[str, Header()] = "",
    ) -> Response:
        """Metrics in Prometheus' text format, or in OpenMetrics for who accepts that: all, or the named series."""
        encode, media_type = choose_encoder(accept)
        return Response(meter.exposition(names, tenants=tenants, encode=encode), media_type=media_type)

    return router


def health_routes(health: Health, meter: Meter, *, tenants: bool = False) -> APIRouter:
    """Return the routes of the pod's state: for callers of all tenants, or, with `tenants`, for those who run it."""
    router = probe_routes(health, meter, tenants=tenants)

    @router.get(PATH_HEALTH)
    async def report() -> Response:
        """Report of this pod: configuration, load, Redis, upstreams."""
        shown = _shown(health.report(), tenants=tenants)
        return _json(shown)

    @router.get(f"{PATH_HEALTH}/detailed")
    async def details() -> Response:
        """The report with details for troubleshooting."""
        found = health.details()
        collections = found.collections if tenants else ()
        shown = {"report": _shown(found.report, tenants=tenants), "collections": collections}
        return _json(found.model_copy(update=shown))

    @router.get(f"{PATH_HEALTH}/simple")
    async def simple() -> Response:
        """Whether this pod takes requests: 503 when it does not."""
        reason = health.not_ready()
        return _json(SimpleHealth(status="unavailable" if reason else "ok", message=reason), failed=reason is not None)

    @router.get(f"{PATH_HEALTH}/{{component}}")
    async def one(component: Literal["redis", "storage", "chromadb"]) -> Response:
        """State of Redis, of what stores conversations, or of ChromaDB: 503 when it is down."""
        found = health.component(component)
        if component == CHROMADB and not tenants:
            found = found.model_copy(update={"message": None})
        return _json(found, failed=found.state is ComponentState.DOWN)

    return router


def _json(shown: Part, *, failed: bool = False) -> Response:
    body = shown.model_dump_json(by_alias=True, exclude_none=True)
    return Response(body, 503 if failed else 200, media_type="application/json")


_PRIVATE: Final = ("access_errors", "knowledge_errors", "webhook_errors")


def _shown(report: PodReport, *, tenants: bool) -> PodReport:
    """Return a report for those who run the pod or, without names of what tenants have, for all callers."""
    if tenants:
        return report
    chromadb = report.chromadb and report.chromadb.model_copy(update={"message": None})
    return report.model_copy(update={**dict.fromkeys(_PRIVATE, ()), "chromadb": chromadb})


def drain_route(hook: DrainHook) -> APIRouter:
    """Return the route of the preStop hook. Without the kubelet's token a request is refused."""
    router = APIRouter()

    @router.get(PATH_DRAIN)
    async def drain(token: Annotated[str, Header(alias=HEADER_DRAIN)] = "") -> Response:
        """Wait until load balancers have had the time to remove this pod."""
        if not hmac.compare_digest(token.encode(), hook.token.get_secret_value().encode()):
            return Response("forbidden: the drain token is missing or wrong", 403, media_type="text/plain")
        pause = hook.seconds()
        hook.lifecycle.remove_endpoint(pause)
        await asyncio.sleep(pause)
        return _probe_response(None)

    return router


def create_health_app(health: Health, meter: Meter, hook: DrainHook) -> ASGIApp:
    """Return the application of the health port."""
    app = FastAPI(openapi_url=None)
    app.include_router(health_routes(health, meter, tenants=True))
    if hook.token.get_secret_value():
        app.include_router(drain_route(hook))
    return Head(app)


def _probe_response(why_not: str | None) -> Response:
    return Response(why_not or "ok", 503 if why_not else 200, media_type="text/plain")
