"""THE page of the activator: hold a request until a pod is ready, proxy it, and relay the response."""

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from chatfleet_api.activator.backend import (
    Backend,
    ConnectionLostError,
    NoPodError,
    ProxiedRequest,
    ProxiedResponse,
    end_to_end,
)
from chatfleet_api.activator.pending import RETRY_SECONDS, PendingRequests, PodWatch
from chatfleet_api.activator.response import ClientResponse
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.web.client import Client
from chatfleet_api.web.dialects import dialect_of
from chatfleet_api.web.disconnect import ClientDisconnected, until_disconnect
from chatfleet_api.web.middleware.request_id import HEADER
from chatfleet_api.web.state import request_id


@dataclass(frozen=True)
class Activator:
    """Serves requests, each from its wait to the end of its response."""

    pending: PendingRequests
    pods: PodWatch
    backend: Backend
    activation_timeout_seconds: float
    heartbeat_seconds: float

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, whose body `BodyLimit` has read already."""
        client = Client(scope, receive, send)
        request = _proxied(scope, (await receive())["body"])
        streams = dialect_of(scope["path"]).wants_stream(client.header(b"accept") or "", request.body)
        response = ClientResponse(client, streams=streams, heartbeat_seconds=self.heartbeat_seconds)
        with suppress(ClientDisconnected):
            await until_disconnect(receive, self._serve(request, response))

    async def _serve(self, request: ProxiedRequest, response: ClientResponse) -> None:
        try:
            async with AsyncExitStack() as stack:
                with self.pending.hold(len(request.body)):
                    proxied = await response.keep_alive_until(self._first_response(request, stack))
                await response.relay(proxied)
        except ChatError as error:
            await response.fail(error)
        except ConnectionLostError as error:
            if response.relaying:
                response.abort()
                return
            await response.fail(ChatError(Code.INTERRUPTED, detail=repr(error.__cause__)))

    async def _first_response(self, request: ProxiedRequest, stack: AsyncExitStack) -> ProxiedResponse:
        """Wait for a pod that accepts the request, and for the head of its response."""
        until = asyncio.get_running_loop().time() + self.activation_timeout_seconds
        while True:
            try:
                async with asyncio.timeout_at(until):
                    await self.pods.wait()
            except TimeoutError:
                raise ChatError(Code.STARTING, retry_after=RETRY_SECONDS) from None
            try:
                return await stack.enter_async_context(self.backend.send(request))
            except NoPodError:
                self.pods.lost()


def _proxied(scope: Scope, body: bytes) -> ProxiedRequest:
    """Return the request as it came, with the request ID that the response will have."""
    target = "/" + scope["raw_path"].decode("latin-1").removeprefix("/")  # no host can be named by it
    query = scope["query_string"].decode("latin-1")
    replaced = (HEADER, b"content-length")
    headers = [header for header in end_to_end(scope["headers"]) if header[0] not in replaced]
    headers.append((HEADER, request_id(scope).encode()))
    return ProxiedRequest(scope["method"], f"{target}?{query}" if query else target, headers, body)
