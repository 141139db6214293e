"""A span for each request, below that of its caller (W3C Trace Context), until its answer has ended."""

from collections.abc import Awaitable
from http import HTTPMethod
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatfleet_api.domain import trace
from chatfleet_api.domain.live import Live
from chatfleet_api.domain.trace import Attribute, Kind, Place, Tracer
from chatfleet_api.web.middleware.access_log import CLIENT_CLOSED_REQUEST, QUIET
from chatfleet_api.web.state import known_principal, request_id

_METHODS: Final = frozenset(HTTPMethod)
_OTHER: Final = "_OTHER"
"""What OpenTelemetry calls a method that it does not know."""
_SERVER_ERROR: Final = 500


class ServerSpans:
    """Requests of probes and scrapers have none."""

    def __init__(self, app: ASGIApp, *, tracer: Live[Tracer | None]) -> None:
        self._app = app
        self._tracer = tracer

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # Without a coroutine of its own: every stream would keep it.
        tracer = self._tracer()
        if tracer is None or scope["type"] != "http" or scope["path"] in QUIET:
            return self._app(scope, receive, send)
        return self._traced(tracer, scope, receive, send)

    async def _traced(self, tracer: Tracer, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"] if scope["method"] in _METHODS else _OTHER
        span = tracer.begin(method, Kind.SERVER, parent=_caller(scope))
        status = CLIENT_CLOSED_REQUEST

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            with trace.active(span):
                await self._app(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", None)
            attributes: dict[str, Attribute] = {
                "http.request.method": method,
                "http.response.status_code": status,
                "url.scheme": scope["scheme"],
                "chatfleet.request.id": request_id(scope),
            }
            if route is not None:
                attributes["http.route"] = route
                span.rename(f"{method} {route}")
            if (caller := known_principal(scope)) is not None:
                attributes["chatfleet.tenant"] = caller.tenant
            span.set(attributes)
            span.end(str(status) if status >= _SERVER_ERROR else None)


def _caller(scope: Scope) -> Place | None:
    given = {name: value for name, value in scope["headers"] if name in (b"traceparent", b"tracestate")}
    if b"traceparent" not in given:
        return None
    return Place(given[b"traceparent"].decode("latin-1"), given.get(b"tracestate", b"").decode("latin-1"))
