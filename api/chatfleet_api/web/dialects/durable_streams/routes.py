"""A run of a conversation, read by the protocol of Durable Streams on any pod."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing, suppress
from functools import partial
from typing import Final

from starlette.responses import Response
from typing_extensions import override

from chatfleet_api.chat.joining import Joining
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Event
from chatfleet_api.domain.lost_position import position_lost
from chatfleet_api.runs.log.interface import End, Moved, unknown_run
from chatfleet_api.web.client import Client
from chatfleet_api.web.dialects.durable_streams import operations
from chatfleet_api.web.dialects.durable_streams.encode import MessageEncoder
from chatfleet_api.web.dialects.durable_streams.request import ReadRequest, next_cursor, read_request
from chatfleet_api.web.dialects.durable_streams.response import (
    JSON,
    Chunk,
    chunk_response,
    closing,
    metadata,
    polled_response,
)
from chatfleet_api.web.dialects.native.errors import error_body
from chatfleet_api.web.dialects.native.routes import known_id
from chatfleet_api.web.disconnect import ClientDisconnected, until_disconnect
from chatfleet_api.web.extensions import headers_only
from chatfleet_api.web.hot_route import HotEndpoint, HotRoute
from chatfleet_api.web.services import Services
from chatfleet_api.web.stream import SSEStreams

PREFIX: Final = "/api/v1/durable-streams"
MOST_EVENTS: Final = 4096
"""Messages of one response, up to the end of a batch; the reader requests the rest with the next offset."""


class ReadStream(HotEndpoint):
    """Catch-up, long-poll, SSE, and HEAD for the metadata."""

    def __init__(self, joining: Joining, streams: SSEStreams) -> None:
        self._joining = joining
        self._streams = streams

    @override
    async def answer(self, client: Client) -> None:
        conversation, run = known_id(client.path_param("conversation_id")), client.path_param("run")
        request = read_request(client.query)
        end = await self._joining.end(client.principal, conversation, run)
        try:
            if end is None:
                raise unknown_run()
            if headers_only(client.scope):
                await _respond(client, metadata(end))
            else:
                await self._read(client, run, request, end)
        except ChatError as error:
            if error.code is not Code.NOT_FOUND:
                raise
            await _respond(client, Response(error_body(error, client.request_id), 410, _NOT_STORED, JSON))
        except ClientDisconnected:
            pass

    async def _read(self, client: Client, run: str, request: ReadRequest, end: End) -> None:
        """Answer the read; raises `ChatError(NOT_FOUND)` when what follows the offset is not kept."""
        after = end.last if request.after is None else request.after
        if end.terminal and after > end.last:
            raise position_lost()
        end = End(max(after, end.last), end.terminal)  # of an open run, another pod may show more than this one
        encoder = MessageEncoder(run, client.request_id, cursor=next_cursor(request.cursor), end=end.last)
        if request.live == "sse":
            await self._stream(client, run, after, end, encoder)
            return
        waits = request.live and after == end.last and not end.terminal
        reading = self._news(client, run, after) if waits else self._kept(client, run, after, end)
        chunk = Chunk(run, after, await until_disconnect(client.receive, reading), end)
        known = client.header(b"if-none-match")
        if request.live:
            response = polled_response(chunk, encoder, known=known)
        else:
            response = chunk_response(chunk, encoder, known=known, tagged=request.after is not None)
        await _respond(client, response)

    async def _stream(self, client: Client, run: str, after: int, end: End, encoder: MessageEncoder) -> None:
        caught_up = after == end.last
        if caught_up and end.terminal:
            await _respond(client, closing(encoder, after))
            return
        opening = encoder.control(after, closed=False) if caught_up else b""
        read = partial(self._joining.read, client.principal, run)
        await self._streams.send(read, encoder, client, after=after, opening=opening)

    async def _kept(self, client: Client, run: str, after: int, end: End) -> Sequence[Event]:
        """Return what there is behind `after`, without waiting for more."""
        events: list[Event] = []
        if after < end.last:
            async with aclosing(self._joining.read(client.principal, run, after)) as batches:
                async for batch in batches:
                    events += batch.events
                    if batch.last >= end.last or len(events) >= MOST_EVENTS:
                        break
        return events

    async def _news(self, client: Client, run: str, after: int) -> Sequence[Event]:
        """Wait for what comes next, as long as a stream may be silent; nothing, too, when this pod ends."""
        batch = None
        with suppress(TimeoutError, Moved):
            async with asyncio.timeout(self._streams.streaming().heartbeat_seconds):
                async with aclosing(self._joining.read(client.principal, run, after)) as batches:
                    batch = await anext(batches, None)
        if client.principal.grant and client.principal.grant.revoked:
            raise ChatError(Code.CREDENTIAL_REVOKED)
        return batch.events if batch else ()


def hot_routes(services: Services) -> Sequence[HotRoute]:
    read = ReadStream(services.joining, services.streams)
    return (HotRoute("GET", PREFIX + "/{conversation_id}/{run}", endpoint=read, operation=operations.READ),)


_NOT_STORED: Final = {"cache-control": "no-store"}


async def _respond(client: Client, response: Response) -> None:
    await response(client.scope, client.receive, client.send)
