"""The page: hold a request until there is a pod, pass it on, and hand its answer back."""

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass

import msgspec
from starlette.types import Receive, Scope, Send

from chatfleet_api.activator.pods import Answer, Asked, CutOffError, NobodyThereError, Pods, end_to_end
from chatfleet_api.activator.probes import RETRY_SECONDS, Room
from chatfleet_api.activator.reply import Reply
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.web.disconnect import Client, ClientDisconnected, until_disconnect
from chatfleet_api.web.middleware.request_id import HEADER, request_id


@dataclass(frozen=True)
class Holding:
    """Serves requests, each from its wait to the end of its answer. `arrival` is set while there are pods."""

    room: Room
    pods: Pods
    arrival: asyncio.Event
    activation_timeout_seconds: float
    heartbeat_seconds: float

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whose body `BodyLimit` has read already."""
        client = Client(scope, receive, send)
        asked = _asked(scope, (await receive())["body"])
        reply = Reply(client, streams=wants_stream(client, asked.body), heartbeat_seconds=self.heartbeat_seconds)
        with suppress(ClientDisconnected):
            await until_disconnect(receive, self._serve(asked, reply))

    async def _serve(self, asked: Asked, reply: Reply) -> None:
        try:
            async with AsyncExitStack() as stack:
                with self.room.place(len(asked.body)):
                    answer = await reply.patiently(self._first_answer(asked, stack))
                await reply.pass_on(answer)
        except ChatError as error:
            await reply.fail(error)
        except CutOffError as error:
            if reply.passing:
                reply.abort()
                return
            await reply.fail(ChatError(Code.INTERRUPTED, detail=repr(error.__cause__)))

    async def _first_answer(self, asked: Asked, stack: AsyncExitStack) -> Answer:
        """Wait for a pod that takes the request, and for the first of its answer."""
        until = asyncio.get_running_loop().time() + self.activation_timeout_seconds
        while True:
            try:
                async with asyncio.timeout_at(until):
                    await self.arrival.wait()
            except TimeoutError:
                raise ChatError(Code.STARTING, retry_after=RETRY_SECONDS) from None
            try:
                return await stack.enter_async_context(self.pods.ask(asked))
            except NobodyThereError:
                self.arrival.clear()  # until the next look


class _Body(msgspec.Struct):
    stream: bool | None = None


def wants_stream(client: Client, body: bytes) -> bool:
    """Tell whether the request asks for a stream as the API reads it: by its body, in our own dialect also by Accept.

    A body that cannot be read asks for nothing; the pod will say what is wrong with it.
    """
    try:
        stream = msgspec.json.decode(body, type=_Body).stream
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        stream = None
    if stream is not None:
        return stream
    vendor = client.scope["path"].startswith("/v1/")
    return not vendor and "text/event-stream" in (client.header(b"accept") or "")


def _asked(scope: Scope, body: bytes) -> Asked:
    """Return the request as it came, but for its id, which is the one that the answer will carry."""
    target = "/" + scope["raw_path"].decode("latin-1").removeprefix("/")  # nothing that could name a host
    query = scope["query_string"].decode("latin-1")
    replaced = (HEADER, b"content-length")
    headers = [header for header in end_to_end(scope["headers"]) if header[0] not in replaced]
    headers.append((HEADER, request_id(scope).encode()))
    return Asked(scope["method"], f"{target}?{query}" if query else target, headers, body)
