"""The OpenAI Responses API: responses that are retrieved later, and streams that are resumed, on any pod."""

import asyncio
import re
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress
from functools import partial
from typing import Final

from typing_extensions import override

from chatfleet_api.chat.responses import Responses, unknown_response
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Failed
from chatfleet_api.domain.principal import Principal
from chatfleet_api.runs.run import Run
from chatfleet_api.web.client import Client
from chatfleet_api.web.collect import as_error
from chatfleet_api.web.dialects.responses import operations
from chatfleet_api.web.dialects.responses.encode import PREFIX, ResponseEncoder
from chatfleet_api.web.dialects.responses.request import read_response
from chatfleet_api.web.hot_route import HotEndpoint, HotRoute
from chatfleet_api.web.services import Services
from chatfleet_api.web.sse import json_text
from chatfleet_api.web.stream import SSEStreams

PATH: Final = "/v1/responses"
CANCEL_SECONDS: Final = 2.0
"""Longest that a cancel waits for the end of the run; it is stopped well before."""

_ID: Final = re.compile(PREFIX + "([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})")
_NUMBER: Final = re.compile("[0-9]{1,15}")


class CreateResponse(HotEndpoint):
    """In the background a response is written to its end; otherwise as long as its client is connected."""

    def __init__(self, responses: Responses, streams: SSEStreams, new_id: Callable[[], str]) -> None:
        self._responses = responses
        self._streams = streams
        self._new_id = new_id

    @override
    async def answer(self, client: Client) -> None:
        body = read_response(await client.body())
        run = await self._responses.create(client.principal, body.request, echo=body.echo, store=body.store)
        # What is not stored gets an id that leads nowhere.
        response_id = PREFIX + (run.id if body.store else self._new_id())
        encoder = ResponseEncoder(response_id, at_once=body.background)
        try:
            if body.stream:
                await self._streams.send(run.read, encoder, client)
            else:
                await client.respond_with(_started(run, encoder) if body.background else _whole(run, encoder))
        finally:
            if not body.background:
                run.cancel()


class RetrieveResponse(HotEndpoint):
    """The response as it is, or, with `stream`, its events after `starting_after`."""

    def __init__(self, responses: Responses, streams: SSEStreams) -> None:
        self._responses = responses
        self._streams = streams

    @override
    async def answer(self, client: Client) -> None:
        run, query = _run(client), client.query
        found = await _found(self._responses, client.principal, run)
        if query.get("stream") == "true":
            encoder = ResponseEncoder(after=_after(query.get("starting_after")), at_once=True)
            await self._streams.send(partial(self._responses.read, client.principal, run), encoder, client)
        else:
            await client.respond(json_text(found.response()))


class CancelResponse(HotEndpoint):
    """Stops the run, on whichever pod, and answers with the response as it ended."""

    def __init__(self, responses: Responses) -> None:
        self._responses = responses

    @override
    async def answer(self, client: Client) -> None:
        run, principal = _run(client), client.principal
        await _found(self._responses, principal, run)
        await self._responses.cancel(principal, run)
        encoder = ResponseEncoder()
        with suppress(TimeoutError):
            async with asyncio.timeout(CANCEL_SECONDS), aclosing(self._responses.read(principal, run)) as batches:
                async for batch in batches:
                    encoder.encode(batch)
        await client.respond(json_text(encoder.response()))


def hot_routes(services: Services) -> Sequence[HotRoute]:
    """Return the routes of responses."""
    responses, streams = services.responses, services.streams
    create = CreateResponse(responses, streams, services.new_id)
    retrieve, cancel = RetrieveResponse(responses, streams), CancelResponse(responses)
    one = PATH + "/{response_id}"
    return (
        HotRoute("POST", PATH, endpoint=create, operation=operations.CREATE),
        HotRoute("GET", one, endpoint=retrieve, operation=operations.RETRIEVE),
        HotRoute("POST", one + "/cancel", endpoint=cancel, operation=operations.CANCEL),
    )


async def _started(run: Run, encoder: ResponseEncoder) -> bytes:
    """Return the response at its beginning."""
    async with aclosing(run.read()) as batches:
        encoder.encode(await anext(batches))
    return json_text(encoder.response())


async def _whole(run: Run, encoder: ResponseEncoder) -> bytes:
    """Return the response at its end; raise `ChatError` when it failed."""
    async with aclosing(run.read()) as batches:
        async for batch in batches:
            encoder.encode(batch)
            if isinstance(failed := batch.events[-1], Failed):
                raise as_error(failed)
    return json_text(encoder.response())


async def _found(responses: Responses, principal: Principal, run: str) -> ResponseEncoder:
    """Return the response as it is; raise `ChatError(NOT_FOUND)` when it is not stored, or no longer."""
    encoder = ResponseEncoder()
    async with aclosing(responses.retrieve(principal, run)) as batches:
        async for batch in batches:
            encoder.encode(batch)
    return encoder


def _run(client: Client) -> str:
    known = _ID.fullmatch(client.path_param("response_id"))
    if known is None:
        raise unknown_response()
    return known[1]


def _after(text: str | None) -> int:
    if text is None:
        return -1
    if not _NUMBER.fullmatch(text):
        message = "Invalid value for 'starting_after': send the sequence_number of the last event that was received."
        raise ChatError(Code.INVALID_REQUEST, message, param="starting_after")
    return int(text)
