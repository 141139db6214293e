"""The application of the serving port: routes, middleware, errors."""

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp

from chatfleet_api.domain.errors import ChatError
from chatfleet_api.web.dialects import DIALECTS
from chatfleet_api.web.documentation import document
from chatfleet_api.web.error_handlers import handle_errors
from chatfleet_api.web.middleware.access_log import AccessLog
from chatfleet_api.web.middleware.alias import Alias
from chatfleet_api.web.middleware.body_limit import BodyLimit
from chatfleet_api.web.middleware.head import Head
from chatfleet_api.web.middleware.hot_routes import HotRoutes
from chatfleet_api.web.middleware.identity import Identity
from chatfleet_api.web.middleware.request_id import RequestId
from chatfleet_api.web.middleware.response_cache import ResponseCaching
from chatfleet_api.web.middleware.server_spans import ServerSpans
from chatfleet_api.web.middleware.testing import TestRoutes
from chatfleet_api.web.middleware.upgrade import Upgrade
from chatfleet_api.web.middleware.visits import Visits
from chatfleet_api.web.root import root_routes
from chatfleet_api.web.services import Services


def create_app(services: Services, *, routers: Sequence[APIRouter]) -> ASGIApp:
    """Return the application, with `routers` beside the dialects' own."""
    app = FastAPI(title="Chatfleet", version=services.version, redirect_slashes=False)
    hot = [route for dialect in DIALECTS for route in dialect.hot_routes(services)]
    app.router.routes[:0] = hot
    links = [link for dialect in DIALECTS for link in dialect.links]
    own = [router for dialect in DIALECTS for router in dialect.routers(services)]
    for router in (*own, *routers, root_routes(services.version, links)):
        app.router.routes += router.routes  # include_router would analyse each route again at its first request
    document(app, hot, bodies=[body for dialect in DIALECTS for body in dialect.bodies])

    def count(error: ChatError) -> None:
        if error.facts.another_pod:
            services.meter.rejected(error.code)

    handle_errors(app, on_error=count)
    routes = TestRoutes(app, services.test_routes, on_error=count)
    return _with_middleware(HotRoutes(routes, hot, on_error=count), services)


def _with_middleware(app: ASGIApp, services: Services) -> ASGIApp:
    """Wrap `app`; the last one is the first to see a request."""
    app = Head(app)
    app = BodyLimit(app)
    app = Upgrade(app)
    app = Visits(app, presence=services.presence)
    app = ResponseCaching(app, enabled=services.caches)
    app = Identity(app, authenticate=services.authenticate)
    app = AccessLog(app, meter=services.meter, clock=services.clock, lines=services.access_lines)
    app = ServerSpans(app, tracer=services.tracer)
    app = RequestId(
        app,
        new_id=services.new_id,
        config_digest=services.config_digest,
        close_connections=services.close_connections,
    )
    return Alias(app)
