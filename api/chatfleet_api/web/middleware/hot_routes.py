"""Calls hot routes without FastAPI, which takes longer to call an endpoint than the endpoint takes.

They are FastAPI's routes all the same: it documents them, and answers 405 to other methods.
"""

from collections.abc import Callable, Sequence

from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.web.errors import send_error


class HotRoutes:
    """Answers errors as FastAPI's handlers do."""

    def __init__(self, app: ASGIApp, routes: Sequence[Route], *, on_error: Callable[[ChatError], None]) -> None:
        """Call `routes` where they match, `app` for all else, and `on_error` with each `ChatError` that is answered."""
        self._app = app
        self._routes = tuple(routes)
        self._on_error = on_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        for route in self._routes:
            match, known = route.matches(scope)
            if match is Match.FULL:
                scope.update(known)
                await self._call(route.app, scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _call(self, endpoint: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await endpoint(scope, receive, noted)
        except ChatError as error:
            if begun:
                raise
            self._on_error(error)
            await send_error(error, scope, send)
        except Exception:  # a defect: the client still gets its response, the access log the exception
            if not begun:
                await send_error(ChatError(Code.INTERNAL), scope, send)
            raise
