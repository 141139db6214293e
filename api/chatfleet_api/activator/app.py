"""The applications of a waiting room's two ports."""

from collections.abc import Callable
from typing import Final

from fastapi import APIRouter, FastAPI, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from chatfleet_api.activator.holding import Holding
from chatfleet_api.activator.probes import Room
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.pod.probes import probe_routes
from chatfleet_api.web.middleware.access_log import AccessLog
from chatfleet_api.web.middleware.body_limit import BodyLimit
from chatfleet_api.web.middleware.request_id import RequestId
from chatfleet_contract.names import PATH_QUEUE

PROBED: Final = frozenset({"/live", "/ready", "/startup", "/health"})
"""Paths at which load balancers look whether somebody is here. They must neither wait nor wake a pod."""


def create_app(holding: Holding, meter: Meter, *, clock: Callable[[], float], new_id: Callable[[], str]) -> ASGIApp:
    """Return the application of the serving port."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in PROBED:
            await Response("asleep: a request starts a pod", media_type="text/plain")(scope, receive, send)
        else:
            await holding(scope, receive, send)

    logged = AccessLog(BodyLimit(serve), meter=meter, clock=clock)
    # Whoever came here found no pod. A connection that is kept would keep leading here when there are some.
    return RequestId(logged, new_id=new_id, config=None, elsewhere=lambda: True)


def create_health_app(room: Room, meter: Meter) -> ASGIApp:
    """Return the application of the health port."""
    app = FastAPI(openapi_url=None)
    app.include_router(probe_routes(room, meter))
    app.include_router(_queue(room))
    return app


def _queue(room: Room) -> APIRouter:
    router = APIRouter()

    @router.get(PATH_QUEUE)
    async def queue() -> dict[str, int]:
        """Tell how many wait, for KEDA."""
        return {"waiting": room.waiting}

    return router
