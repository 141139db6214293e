"""What a request wants of the response cache, by `Cache-Control` (RFC 9111), and how its answer is marked.

`no-store`: the cache has no part in it. `no-cache`: its answer is new, and kept. `max-age`: no older one is wanted.
"""

from collections.abc import Awaitable, Iterable
from http import HTTPStatus
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatfleet_api.domain.cache_use import CacheUse, using
from chatfleet_api.domain.live import Live
from chatfleet_api.web.sse import CONTENT_TYPE
from chatfleet_api.web.state import known_principal

HEADER: Final = b"x-chatfleet-cache"
_CONTROL: Final = b"cache-control"
_LONGEST: Final = 10
"""Digits of a `max-age` that is read."""


class ResponseCaching:
    """Lets requests use the cache while it is on; while it is off, it costs them one look at that."""

    def __init__(self, app: ASGIApp, *, enabled: Live[bool]) -> None:
        self._app = app
        self._enabled = enabled

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # Without a coroutine of its own: every stream would keep it.
        if scope["type"] == "http" and scope["method"] == "POST" and self._enabled():
            caller = known_principal(scope)
            if caller is not None:
                return self._using(wanted(caller.tenant, scope["headers"]), scope, receive, send)
        return self._app(scope, receive, send)

    async def _using(self, use: CacheUse, scope: Scope, receive: Receive, send: Send) -> None:
        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                if _is_stream(message):
                    await use.decided()
                message["headers"] = [*message["headers"], *marks(use)]
            await send(message)

        with using(use):
            await self._app(scope, receive, marked)


def wanted(tenant: str, headers: Iterable[tuple[bytes, bytes]]) -> CacheUse:
    """Return what the headers of a request want of the cache."""
    given = b",".join(value for name, value in headers if name == _CONTROL).decode("latin-1").lower()
    directives = [part.strip() for part in given.split(",")]
    stores = "no-store" not in directives
    ages = [part.partition("=")[2] for part in directives if part.startswith("max-age=")]
    known = [int(age) for age in ages if age.isascii() and age.isdigit() and len(age) <= _LONGEST]
    return CacheUse(
        tenant,
        reads=stores and "no-cache" not in directives,
        writes=stores,
        max_age_seconds=min(known) if known else None,
    )


def marks(use: CacheUse) -> list[tuple[bytes, bytes]]:
    """Return the headers of a response whose request has used the cache; none for one that could not."""
    if use.result is None:
        return []
    shown = [(HEADER, use.result.encode())]
    return [*shown, (b"age", b"%d" % use.age_seconds)] if use.result == "hit" else shown


def _is_stream(message: Message) -> bool:
    return message["status"] == HTTPStatus.OK and (b"content-type", CONTENT_TYPE) in message["headers"]
