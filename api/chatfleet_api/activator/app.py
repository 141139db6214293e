"""The applications of the activator's two ports."""

from collections.abc import Callable
from typing import Final

from fastapi import APIRouter, FastAPI, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from chatfleet_api.activator.activator import Activator
from chatfleet_api.activator.pending import PendingRequests
from chatfleet_api.domain.live import Live
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.pod.probes import probe_routes
from chatfleet_api.web.middleware.access_log import AccessLog
from chatfleet_api.web.middleware.body_limit import BodyLimit
from chatfleet_api.web.middleware.head import Head
from chatfleet_api.web.middleware.request_id import RequestId
from chatfleet_api.web.middleware.upgrade import Upgrade
from chatfleet_contract.names import PATH_HEALTH, PATH_LIVE, PATH_QUEUE, PATH_READY, PATH_STARTUP
from chatfleet_contract.spec import AccessLines

PROBED: Final = frozenset({PATH_LIVE, PATH_READY, PATH_STARTUP, PATH_HEALTH})
"""Paths of the health checks of load balancers. They must neither wait nor activate a pod."""


def create_app(
    activator: Activator,
    meter: Meter,
    *,
    clock: Callable[[], float],
    new_id: Callable[[], str],
    lines: Live[AccessLines],
) -> ASGIApp:
    """Return the application of the serving port; its access log has the `lines` that are wanted."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in PROBED:
            await Response("scaled to zero: a request starts a pod", media_type="text/plain")(scope, receive, send)
        else:
            await activator(scope, receive, send)

    logged = AccessLog(Upgrade(BodyLimit(serve)), meter=meter, clock=clock, lines=lines)
    # No pod was ready for this connection. Kept alive, it would lead here also when one is.
    return RequestId(logged, new_id=new_id, config_digest=None, close_connections=lambda: True)


def create_health_app(pending: PendingRequests, meter: Meter) -> ASGIApp:
    """Return the application of the health port."""
    app = FastAPI(openapi_url=None)
    app.include_router(probe_routes(pending, meter))
    app.include_router(_queue(pending))
    return Head(app)


def _queue(pending: PendingRequests) -> APIRouter:
    router = APIRouter()

    @router.get(PATH_QUEUE)
    async def queue() -> dict[str, int]:
        """Return the number of pending requests, for KEDA."""
        return {"waiting": pending.waiting}

    return router
