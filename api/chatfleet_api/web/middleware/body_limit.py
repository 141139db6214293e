"""Reads a request's body before anything else is done for it, and refuses one that is too large or too slow.

Starlette's own limit answers in plain text; ours answers in the dialect of the path. Every body is read whole anyway.
"""

import asyncio
from contextlib import suppress
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.web.errors import CLOSE, send_error

MAX_BODY_BYTES: Final = 4 * 1024 * 1024
BODY_SECONDS: Final = 30.0
"""Time in which the whole body must have come: the largest at 1 Mbit/s."""

DISCARDED_BYTES: Final = 64 * 1024 * 1024
"""Bytes that are still read of a body that is refused, within `BODY_SECONDS`. Most clients read the response when they
have sent their request. If the connection were closed over unread bytes, the kernel would reset it, the response would
be lost, and an SDK would send the same body again."""

_COMPRESSED: Final = "The body is compressed, which is not supported; send it without Content-Encoding."


class BodyLimit:
    """Refuses by `Content-Length` before the body is sent, else counts the bytes that arrive."""

    def __init__(self, app: ASGIApp, *, max_bytes: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            if _content_length(scope) > self._max_bytes:
                raise self._too_large()
            async with asyncio.timeout(BODY_SECONDS):
                body = await self._read(receive)
        except ChatError as error:
            await refuse_unread(error, scope, receive, send)
            return
        except TimeoutError:
            await send_error(ChatError(Code.REQUEST_TIMEOUT), scope, send, headers=[CLOSE])
            return
        if body is None:
            return
        if body and _compressed(scope):
            await send_error(ChatError(Code.UNSUPPORTED_MEDIA_TYPE, _COMPRESSED), scope, send)
            return
        first: Message | None = {"type": "http.request", "body": body, "more_body": False}
        del body  # the application decides how long it keeps it

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
                raise self._too_large()
            more = message.get("more_body", False)
        return b"".join(parts)

    def _too_large(self) -> ChatError:
        message = f"The body is larger than {self._max_bytes} bytes; send a smaller one."
        return ChatError(Code.REQUEST_TOO_LARGE, message)


def _content_length(scope: Scope) -> int:
    """Return the declared length of the body, which the server has parsed, 0 when none is declared."""
    return next((int(value) for name, value in scope["headers"] if name == b"content-length"), 0)


def _compressed(scope: Scope) -> bool:
    return any(
        name == b"content-encoding" and value.strip().lower() not in (b"", b"identity")
        for name, value in scope["headers"]
    )


async def refuse_unread(error: ChatError, scope: Scope, receive: Receive, send: Send) -> None:
    """Send the whole response at once; the connection is closed when the body has been read, or its limit."""

    async def send_before_the_end(message: Message) -> None:
        if message["type"] == "http.response.body":
            await send({**message, "more_body": True})
            await _discard(receive)
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await send(message)

    await send_error(error, scope, send_before_the_end, headers=[CLOSE])


async def _discard(receive: Receive) -> None:
    """Read the rest of the body, at most `DISCARDED_BYTES` in `BODY_SECONDS`."""
    size = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(BODY_SECONDS):
            while size < DISCARDED_BYTES:
                message = await receive()
                if not message.get("more_body", False):  # its end, or that of the connection
                    return
                size += len(message["body"])
