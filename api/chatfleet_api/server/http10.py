"""Responses to clients of HTTP/1.0, which know no chunks: a body without Content-Length ends with its connection."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


def unframed(cycle: RequestResponseCycle, app: ASGIApp) -> ASGIApp:
    """Return `app` without chunks in its responses. uvicorn keeps no connection of HTTP/1.0 after a response."""

    async def call(scope: Scope, receive: Receive, _: Send) -> None:
        endless = False

        async def send(message: Message) -> None:
            nonlocal endless
            if message["type"] == "http.response.start":
                endless = all(name.lower() != b"content-length" for name, _ in message.get("headers", ()))
                if endless:
                    cycle.chunked_encoding = False
            elif endless:  # uvicorn compares the length of the body with what the head declares
                cycle.expected_content_length = len(message.get("body", b""))
            await cycle.send(message)  # type: ignore[arg-type]  # uvicorn's narrower types

        await app(scope, receive, send)

    return call
