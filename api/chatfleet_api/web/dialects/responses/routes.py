"""The OpenAI Responses API: answers that can be asked for later, and streams that are resumed, on any pod."""

import asyncio
import re
from contextlib import aclosing, suppress
from functools import partial
from typing import Final

from starlette.datastructures import QueryParams
from starlette.types import Receive, Scope, Send

from chatfleet_api.chat.chat import DEFAULT_TENANT, Chat
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Failed, Start
from chatfleet_api.runs.run import Run
from chatfleet_api.web.dialects.collect import as_error
from chatfleet_api.web.dialects.openai.encode import VendorErrorBody
from chatfleet_api.web.dialects.responses.encode import PREFIX, ResponseEncoder
from chatfleet_api.web.dialects.responses.request import Asked, ResponseBody, read_response
from chatfleet_api.web.dialects.sse import json_text
from chatfleet_api.web.disconnect import Client, ClientDisconnected, until_disconnect
from chatfleet_api.web.documentation import fails, takes
from chatfleet_api.web.stream import SSEStreams

PATH: Final = "/v1/responses"
CANCEL_SECONDS: Final = 2.0
"""Longest that a cancel waits to tell how the answer ended; it is stopped well before."""

_ID: Final = re.compile(PREFIX + "([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})")
_NUMBER: Final = re.compile("[0-9]{1,15}")


class Create:
    """`POST /v1/responses`. In the background it is answered to its end; otherwise as long as the client waits."""

    def __init__(self, chat: Chat, streams: SSEStreams) -> None:
        self._chat = chat
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """CollectedCompletion one request; raises `ChatError` for what is to be told by an HTTP status."""
        client = Client(scope, receive, send)
        asked = read_response(await client.body())
        run = await self._chat.complete(DEFAULT_TENANT, asked.request, resumable=asked.background)
        # What is not stored gets an id that leads nowhere.
        shown = PREFIX + (run.id if asked.store else self._chat.new_id())
        encoder = ResponseEncoder(shown, background=asked.background)
        try:
            if asked.stream:
                await self._streams.send(run.read, encoder, client)
            else:
                await self._whole(asked, run, encoder, client)
        finally:
            if not asked.background:
                run.cancel()

    async def _whole(self, asked: Asked, run: Run, encoder: ResponseEncoder, client: Client) -> None:
        with suppress(ClientDisconnected):
            await until_disconnect(client.receive, _take(run, encoder, all_of_it=not asked.background))
            await client.respond(json_text(encoder.response()))


class Retrieve:
    """`GET /v1/responses/{id}`: the response as it is, or, with `stream`, its events after `starting_after`."""

    def __init__(self, chat: Chat, streams: SSEStreams) -> None:
        self._chat = chat
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """CollectedCompletion one request; raises `ChatError` for what is to be told by an HTTP status."""
        client = Client(scope, receive, send)
        run = _run(scope)
        query = QueryParams(scope["query_string"])
        found = await _found(self._chat, run)
        if query.get("stream") == "true":
            read = partial(self._chat.pool.read, DEFAULT_TENANT, run)
            encoder = ResponseEncoder(after=_after(query.get("starting_after")), background=True)
            await self._streams.send(read, encoder, client)
        else:
            await client.respond(json_text(found.response()))


class Cancel:
    """`POST /v1/responses/{id}/cancel`: stop it, on whichever pod, and return how it ended."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """CollectedCompletion one request; raises `ChatError` for what is to be told by an HTTP status."""
        run = _run(scope)
        await _found(self._chat, run)
        await self._chat.cancel_run(DEFAULT_TENANT, run)
        encoder = ResponseEncoder(background=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(CANCEL_SECONDS), aclosing(self._chat.pool.read(DEFAULT_TENANT, run)) as batches:
                async for batch in batches:
                    encoder.encode(batch)
        await Client(scope, receive, send).respond(json_text(encoder.response()))


async def _take(run: Run, encoder: ResponseEncoder, *, all_of_it: bool) -> None:
    """Let `encoder` see the run to its end, or only its beginning; raise `ChatError` when it fails."""
    async with aclosing(run.read()) as batches:
        async for batch in batches:
            encoder.encode(batch)
            if not all_of_it:
                break
            if isinstance(failed := batch.events[-1], Failed):
                raise as_error(failed)


async def _found(chat: Chat, run: str) -> ResponseEncoder:
    """Return the response as it is by now; raise `ChatError(NOT_FOUND)` when it is not, or no longer, known."""
    encoder = ResponseEncoder(background=True)
    under_way = await chat.log.state(DEFAULT_TENANT, run) == "open"
    async with aclosing(chat.pool.read(DEFAULT_TENANT, run)) as batches:
        async for batch in batches:
            if isinstance(start := batch.events[0], Start) and start.conversation:
                raise _unknown()
            encoder.encode(batch)
            if under_way:
                break
    return encoder


def _run(scope: Scope) -> str:
    known = _ID.fullmatch(scope["path_params"]["response_id"])
    if known is None:
        raise _unknown()
    return known[1]


def _unknown() -> ChatError:
    return ChatError(Code.NOT_FOUND, "This response is not, or no longer, known.")


def _after(text: str | None) -> int:
    if text is None:
        return -1
    if not _NUMBER.fullmatch(text):
        says = "Invalid value for 'starting_after': send the sequence_number of the last event that was seen."
        raise ChatError(Code.INVALID_REQUEST, says, param="starting_after")
    return int(text)


_TAGS: Final = ["OpenAI dialect"]
_ONE: Final = {"name": "response_id", "in": "path", "required": True, "schema": {"type": "string"}}
_ANSWERS: Final = {
    "200": {
        "description": "A response, or its events.",
        "content": {"application/json": {"schema": {"type": "object"}}, "text/event-stream": {}},
    },
    **fails(VendorErrorBody),
}
CREATE: Final = {
    "tags": _TAGS,
    "summary": "Create a response",
    "description": "As the OpenAI API, for text: one JSON answer or, with `stream`, its events. With `background` it is"
    " answered also when nobody waits.",
    "operationId": "create_response",
    **takes(ResponseBody),
    "responses": _ANSWERS,
}
RETRIEVE: Final = {
    "tags": _TAGS,
    "summary": "Get a response, or resume its stream",
    "operationId": "retrieve_response",
    "parameters": [
        _ONE,
        {"name": "stream", "in": "query", "schema": {"type": "boolean"}},
        {"name": "starting_after", "in": "query", "schema": {"type": "integer"}},
    ],
    "responses": _ANSWERS,
}
CANCEL: Final = {
    "tags": _TAGS,
    "summary": "Cancel a response",
    "operationId": "cancel_response",
    "parameters": [_ONE],
    "responses": _ANSWERS,
}
