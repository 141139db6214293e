"""Reads a request's body before anything else is done for it, and refuses one that is too large or too slow.

Starlette's own limit answers in plain text; ours answers in the dialect of the path. Every body is read whole anyway.
"""

import asyncio
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.web.errors import CLOSE, send_error

MAX_BODY_BYTES: Final = 4 * 1024 * 1024
BODY_SECONDS: Final = 30.0
"""Time in which the whole body must have come: the largest at 1 Mbit/s."""

_COMPRESSED: Final = "The body is compressed, which is not supported; send it without Content-Encoding."


class BodyLimit:
    """Counts the bytes that arrive, whatever `Content-Length` is."""

    def __init__(self, app: ASGIApp, *, max_bytes: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await self._read(receive)
        except ChatError as error:
            await _refuse(error, scope, send)
            return
        except TimeoutError:
            await _refuse(ChatError(Code.REQUEST_TIMEOUT), scope, send)
            return
        if body is None:
            return
        if body and _compressed(scope):
            await send_error(ChatError(Code.UNSUPPORTED_MEDIA_TYPE, _COMPRESSED), scope, send)
            return
        first: Message | None = {"type": "http.request", "body": body, "more_body": False}

        async def read() -> Message:
            nonlocal first
            message, first = first, None
            return message or await receive()

        await self._app(scope, read, send)

    async def _read(self, receive: Receive) -> bytes | None:
        """Return the body, None when the client left before its end; raise `ChatError` when it is too large."""
        parts: list[bytes] = []
        size = 0
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._max_bytes:
                raise ChatError(
                    Code.REQUEST_TOO_LARGE, f"The body is larger than {self._max_bytes} bytes; send a smaller one."
                )
            more = message.get("more_body", False)
        return b"".join(parts)


def _compressed(scope: Scope) -> bool:
    return any(
        name == b"content-encoding" and value.strip().lower() not in (b"", b"identity")
        for name, value in scope["headers"]
    )


async def _refuse(error: ChatError, scope: Scope, send: Send) -> None:
    await send_error(error, scope, send, headers=[CLOSE])  # the rest of the body is not waited for
