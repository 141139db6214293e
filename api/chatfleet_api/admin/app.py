"""The application of the admin port."""

from typing import Final

from fastapi import FastAPI
from starlette.types import ASGIApp

from chatfleet_api.admin.cache import cache_routes
from chatfleet_api.admin.configuration import configuration_routes
from chatfleet_api.admin.events import event_routes
from chatfleet_api.admin.runs import run_routes
from chatfleet_api.admin.services import AdminServices
from chatfleet_api.admin.sessions import session_routes
from chatfleet_api.admin.tasks import task_routes
from chatfleet_api.admin.usage import usage_routes
from chatfleet_api.admin.webhooks import webhook_routes
from chatfleet_api.domain.live import Live
from chatfleet_api.web.error_handlers import handle_errors
from chatfleet_api.web.middleware.access_log import AccessLog
from chatfleet_api.web.middleware.body_limit import BodyLimit
from chatfleet_api.web.middleware.head import Head
from chatfleet_api.web.middleware.identity import Identity
from chatfleet_api.web.middleware.request_id import RequestId
from chatfleet_contract.spec import AccessLines

MAX_BODY_BYTES: Final = 64 * 1024


class _Uncounted:
    """Counts no requests: the metrics are about those of the serving port."""

    def answered(self, route: str, status: int) -> None:
        pass

    def asked(self, tenant: str) -> None:
        pass


def create_admin_app(admin: AdminServices) -> ASGIApp:
    """Return the application. Each request is in the log, whatever `observability.accessLog` is."""
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    for routes in (
        configuration_routes,
        run_routes,
        session_routes,
        cache_routes,
        usage_routes,
        event_routes,
        webhook_routes,
        task_routes,
    ):
        app.include_router(routes(admin))
    handle_errors(app, on_error=lambda _: None)
    wrapped: ASGIApp = BodyLimit(Head(app), max_bytes=MAX_BODY_BYTES)
    wrapped = Identity(wrapped, authenticate=admin.authenticate)
    wrapped = AccessLog(wrapped, meter=_Uncounted(), clock=admin.clock, lines=Live(lambda: AccessLines.ALL))
    return RequestId(
        wrapped,
        new_id=admin.new_id,
        config_digest=lambda: admin.configuration.digest,
        close_connections=lambda: False,
    )
