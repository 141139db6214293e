"""How an error becomes the answer, outside of FastAPI."""

from collections.abc import Iterable

from starlette.types import Scope, Send

from chatfleet_api.domain.errors import ChatError
from chatfleet_api.web.dialects.failures import error_response
from chatfleet_api.web.middleware.request_id import request_id


async def send_error(
    error: ChatError, scope: Scope, send: Send, *, headers: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    """Answer with `error` in the dialect of the path, and with more `headers` than its own."""
    answer = error_response(error, scope["path"], request_id(scope))
    await send({"type": "http.response.start", "status": answer.status, "headers": [*answer.headers, *headers]})
    await send({"type": "http.response.body", "body": answer.body})
