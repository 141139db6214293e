"""Errors that FastAPI catches, answered in the dialect of the path, whoever raised them."""

from collections.abc import Callable
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.web.errors import error_response
from chatfleet_api.web.state import request_id, set_quota

_BY_STATUS: Final = MappingProxyType(
    {HTTPStatus.NOT_FOUND: Code.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED: Code.METHOD_NOT_ALLOWED}
)


def handle_errors(app: FastAPI, on_error: Callable[[ChatError], None]) -> None:
    """Register the handlers; each `ChatError` that a route raises is also passed to `on_error`."""

    @app.exception_handler(ChatError)
    async def known(request: Request, error: ChatError) -> Response:
        on_error(error)
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
        message = f"Invalid value for '{param}': {first['msg']}."
        return _response(request, ChatError(Code.INVALID_REQUEST, message, param=param))

    @app.exception_handler(Exception)
    async def unknown(request: Request, _: Exception) -> Response:
        return _response(request, ChatError(Code.INTERNAL))


def _response(request: Request, error: ChatError) -> Response:
    set_quota(request.scope, error.quota)
    answer = error_response(error, request.scope["path"], request_id(request.scope))
    response = Response(answer.body, answer.status)
    response.raw_headers[:] = answer.headers
    return response
