"""`/test/*`: what probes, alerts and clients are tried with. Imported only while `observability.testRoutes` is true.

All of it is bounded: time, bytes, memory, and how many requests are under way. Nothing is stored, and no model called.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Annotated, Any, Final

from fastapi import FastAPI, Query, Request
from fastapi.responses import StreamingResponse

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.web.error_handlers import handle_errors
from chatfleet_api.web.sse import json_text
from chatfleet_api.web.state import request_id

MAX_OPEN: Final = 8
"""Requests of `slow`, `stream` and `memory` at a time in one pod."""
MAX_SECONDS: Final = 60
MAX_TOKENS: Final = 10_000
MAX_INTERVAL_MS: Final = 1000
MAX_MEBIBYTES: Final = 64
MAX_ECHO_BYTES: Final = 64 * 1024
SHOWN_HEADERS: Final = frozenset(
    {"accept", "content-length", "content-type", "host", "traceparent", "tracestate", "user-agent", "x-request-id"}
)
"""What else there is may be a credential."""

_Seconds = Annotated[float, Query(ge=0, le=MAX_SECONDS, allow_inf_nan=False)]


def testing_app(on_error: Callable[[ChatError], None]) -> FastAPI:
    """Return the application; `on_error` is called with each `ChatError` that is answered."""
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    handle_errors(app, on_error)
    _add_answers(app)
    _add_loads(app, asyncio.BoundedSemaphore(MAX_OPEN))
    return app


def _add_answers(app: FastAPI) -> None:
    @app.api_route("/test/echo", methods=["GET", "POST"])
    async def echo(request: Request) -> dict[str, Any]:
        """Return the request as it has arrived, without what may be a credential."""
        body = await request.body()
        if len(body) > MAX_ECHO_BYTES:
            raise ChatError(Code.REQUEST_TOO_LARGE)
        return {
            "method": request.method,
            "query": request.url.query,
            "headers": {name: value for name, value in request.headers.items() if name in SHOWN_HEADERS},
            "body": body.decode(errors="replace"),
            "request_id": request_id(request.scope),
        }

    @app.get("/test/fail")
    async def fail(code: Code = Code.INTERNAL) -> None:
        """Answer with an error."""
        raise ChatError(code)


def _add_loads(app: FastAPI, slots: asyncio.BoundedSemaphore) -> None:
    memory = asyncio.Lock()

    @app.get("/test/slow")
    async def slow(seconds: _Seconds = 1) -> dict[str, float]:
        """Answer after some seconds."""
        _require_free(slots)
        async with slots:
            await asyncio.sleep(seconds)
        return {"seconds": seconds}

    @app.get("/test/stream")
    async def stream(
        tokens: Annotated[int, Query(ge=0, le=MAX_TOKENS)] = 100,
        interval_ms: Annotated[int, Query(ge=0, le=MAX_INTERVAL_MS)] = 20,
    ) -> StreamingResponse:
        """Stream tokens as server-sent events."""
        if tokens * interval_ms > MAX_SECONDS * 1000:
            message = f"'tokens' times 'interval_ms' exceeds {MAX_SECONDS} s; reduce one of them."
            raise ChatError(Code.INVALID_REQUEST, message, param="tokens")
        _require_free(slots)
        frames = _frames(slots, tokens, interval_ms / 1000)
        return StreamingResponse(frames, headers={"cache-control": "no-store"}, media_type="text/event-stream")

    @app.get("/test/memory")
    async def allocate(
        mebibytes: Annotated[int, Query(ge=1, le=MAX_MEBIBYTES)] = 16, seconds: _Seconds = 1
    ) -> dict[str, float]:
        """Hold memory for some seconds; one request at a time."""
        if memory.locked():
            raise ChatError(Code.LIMIT_EXCEEDED, "Another request holds memory; wait until it has ended.")
        _require_free(slots)
        async with slots, memory:
            held = await asyncio.to_thread(_filled, mebibytes)
            await asyncio.sleep(seconds)
            return {"mebibytes": len(held) >> 20, "seconds": seconds}


def _require_free(slots: asyncio.BoundedSemaphore) -> None:
    if slots.locked():
        raise ChatError(Code.LIMIT_EXCEEDED, f"This pod has {MAX_OPEN} such requests; wait until one has ended.")


async def _frames(slots: asyncio.BoundedSemaphore, tokens: int, interval: float) -> AsyncGenerator[bytes, None]:
    async with slots:
        for number in range(tokens):
            yield _frame("token", index=number, content=f"token-{number} ")
            await asyncio.sleep(interval)
        yield _frame("complete", tokens=tokens)


def _frame(kind: str, **fields: Any) -> bytes:  # noqa: ANN401  # JSON
    return b"event: " + kind.encode() + b"\ndata: " + json_text({"type": kind, **fields}) + b"\n\n"


def _filled(mebibytes: int) -> bytes:
    """Return bytes whose pages are there: zeros would take none."""
    return b"\x01" * (mebibytes << 20)
