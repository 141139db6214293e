"""Lets `/test/*` pass while it is on in the configuration; else the paths do not exist, and no code is loaded."""

from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from chatfleet_api.domain.errors import ChatError
from chatfleet_api.domain.live import Live

PREFIX: Final = "/test/"


class TestRoutes:
    """Behind the hot routes, which never meet it."""

    __test__ = False  # pytest takes the name for that of a test

    def __init__(self, app: ASGIApp, enabled: Live[bool], *, on_error: Callable[[ChatError], None]) -> None:
        """Call `app` for all else, and `on_error` with each `ChatError` that is answered."""
        self._app = app
        self._enabled = enabled
        self._on_error = on_error
        self._routes: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(PREFIX) and self._enabled():
            await self._testing()(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _testing(self) -> ASGIApp:
        if self._routes is None:
            from chatfleet_api.web.testing import testing_app  # noqa: PLC0415  # only with observability.testRoutes

            self._routes = testing_app(self._on_error)
        return self._routes
