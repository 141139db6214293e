"""Answers the routes that stream without going through FastAPI, which takes longer to call them than they take.

They are FastAPI's routes all the same: it documents them, and tells who asks with another method.
"""

from collections.abc import Callable, Sequence

from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.web.middleware.send_error import send_error


class HotRoutes:
    """Its errors are told as FastAPI's handlers tell them, and what nobody expected is raised again besides."""

    def __init__(self, app: ASGIApp, routes: Sequence[Route], *, refused: Callable[[ChatError], None]) -> None:
        """Call `routes` where they match, `app` for all else; `refused` is told of each error that is answered."""
        self._app = app
        self._routes = tuple(routes)
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        for route in self._routes:
            match, known = route.matches(scope)
            if match is Match.FULL:
                scope.update(known)
                await self._answer(route.app, scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _answer(self, endpoint: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
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
            self._refused(error)
            await send_error(error, scope, send)
        except Exception:
            if not begun:
                await send_error(ChatError(Code.INTERNAL), scope, send)
            raise
