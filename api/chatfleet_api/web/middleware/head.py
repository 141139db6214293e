"""Answers HEAD wherever GET is answered, as RFC 9110 9.1 requires: with the same headers, and no body."""

from collections.abc import Awaitable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatfleet_api.web.extensions import HEADERS_ONLY


class Head:
    """Ends the response after its headers, so that a stream is not opened for nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # Without a coroutine of its own: every stream would keep it.
        return self._app(scope, receive, send) if scope["method"] != "HEAD" else self._head(scope, receive, send)

    async def _head(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def headers_only(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send(
                    {"type": "http.response.body", "body": b"", "more_body": False}
                )  # from here on, `receive` is a disconnect

        as_get = {**scope, "method": "GET", "extensions": {HEADERS_ONLY: {}}}
        try:
            await self._app(as_get, receive, headers_only)
        finally:
            scope.update({key: as_get[key] for key in ("route", "path_params") if key in as_get})
