"""The applications of a pod's two ports: routes, middleware, errors; nothing else."""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Scope
from typing_extensions import override

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.pod.probes import health_routes
from chatfleet_api.pod.services import VERSION, Services
from chatfleet_api.web.dialects.failures import error_response
from chatfleet_api.web.dialects.native import routes as conversations
from chatfleet_api.web.dialects.openai import routes as completions
from chatfleet_api.web.dialects.responses import routes as responses
from chatfleet_api.web.documentation import document
from chatfleet_api.web.middleware.access_log import AccessLog
from chatfleet_api.web.middleware.body_limit import BodyLimit
from chatfleet_api.web.middleware.hot_routes import HotRoutes
from chatfleet_api.web.middleware.request_id import RequestId, request_id
from chatfleet_api.web.root import root_routes

_BY_STATUS: Final = MappingProxyType(
    {HTTPStatus.NOT_FOUND: Code.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED: Code.METHOD_NOT_ALLOWED}
)
_COMPLETIONS: Final = "/v1/chat/completions"
_MESSAGES: Final = conversations.PREFIX + "/{conversation_id}/messages"
_STREAM: Final = conversations.PREFIX + "/{conversation_id}/stream"
_RESPONSE: Final = responses.PATH + "/{response_id}"


def create_app(services: Services) -> ASGIApp:
    """Return the application of the serving port."""
    app = FastAPI(title="Chatfleet", version=VERSION, redirect_slashes=False)
    chat, relays, configuration = services.chat, services.streams, services.configuration
    messages = conversations.Messages(
        chat, relays, on_disconnect=lambda: configuration.current.conversations.on_client_disconnect
    )
    hot = [
        _Streamed(_COMPLETIONS, completions.Completions(chat, relays), methods=["POST"]),
        _Streamed(_MESSAGES, messages, methods=["POST"]),
        _Streamed(_STREAM, conversations.Stream(chat, relays), methods=["GET"]),
        _Streamed(responses.PATH, responses.Create(chat, relays), methods=["POST"]),
        _Streamed(_RESPONSE, responses.Retrieve(chat, relays), methods=["GET"]),
        _Streamed(_RESPONSE + "/cancel", responses.Cancel(chat), methods=["POST"]),
    ]
    app.router.routes[:0] = hot
    app.include_router(completions.model_routes(chat))
    app.include_router(conversations.conversation_routes(chat))
    app.include_router(health_routes(services.health, services.meter))
    app.include_router(root_routes(VERSION))
    document(
        app,
        {
            ("post", _COMPLETIONS): completions.OPERATION,
            ("post", _MESSAGES): conversations.OPERATION,
            ("get", _STREAM): conversations.JOINING,
            ("post", responses.PATH): responses.CREATE,
            ("get", _RESPONSE): responses.RETRIEVE,
            ("post", _RESPONSE + "/cancel"): responses.CANCEL,
        },
    )
    refused = partial(_count, services.meter)
    _answer_errors(app, refused)
    streaming = HotRoutes(app, hot, refused=refused)
    logged = AccessLog(BodyLimit(streaming), meter=services.meter, clock=services.chat.clock)
    return RequestId(
        logged,
        new_id=services.chat.new_id,
        config=lambda: services.configuration.digest,
        elsewhere=lambda: services.lifecycle.leaving or services.chat.pool.near_capacity,
    )


class _Streamed(Route):
    """A route of pure ASGI; it makes itself known to the access log as FastAPI's own do."""

    @override
    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, known = super().matches(scope)
        return match, {**known, "route": self}


def _count(meter: Meter, error: ChatError) -> None:
    if error.facts.another_pod:
        meter.rejected(error.code)


def _answer_errors(app: FastAPI, refused: Callable[[ChatError], None]) -> None:
    """Let every error be answered in the dialect of the path, whoever raised it."""

    @app.exception_handler(ChatError)
    async def known(request: Request, error: ChatError) -> Response:
        refused(error)
        return _response(request, error)

    @app.exception_handler(HTTPException)
    async def from_framework(request: Request, error: HTTPException) -> Response:
        response = _response(request, ChatError(_BY_STATUS.get(HTTPStatus(error.status_code), Code.INVALID_REQUEST)))
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        param = str(first["loc"][-1])
        return _response(
            request, ChatError(Code.INVALID_REQUEST, f"Invalid value for '{param}': {first['msg']}.", param=param)
        )

    @app.exception_handler(Exception)
    async def unknown(request: Request, _: Exception) -> Response:
        return _response(request, ChatError(Code.INTERNAL))


def _response(request: Request, error: ChatError) -> Response:
    answer = error_response(error, request.scope["path"], request_id(request.scope))
    response = Response(answer.body, answer.status)
    response.raw_headers[:] = answer.headers
    return response
