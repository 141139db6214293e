"""Serves the paths below an alias as those below the path that it stands for."""

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

ALIAS: Final = "/api/conversations"
PATH: Final = "/api/v1/conversations"


class Alias:
    """Changes the path of a request before anything reads it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope.get("path", "")
        if path.startswith(ALIAS) and path[len(ALIAS) :][:1] in {"", "/"}:
            rest = path[len(ALIAS) :]
            scope = {**scope, "path": PATH + rest, "raw_path": (PATH + rest).encode("utf-8", "replace")}
        await self._app(scope, receive, send)
