"""The OpenAI Responses API: responses that are retrieved later, and streams that are resumed, on any pod."""

import asyncio
import re
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress
from functools import partial
from typing import Final

from typing_extensions import override

from chatfleet_api.chat.approvals import Approvals
from chatfleet_api.chat.decisions import decisions_of
from chatfleet_api.chat.once import Once, RequestKey, ResponseReplay
from chatfleet_api.chat.response_approvals import ResponseApprovals
from chatfleet_api.chat.responses import NewResponse, Responses, StoredResponse
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Failed
from chatfleet_api.domain.principal import Principal
from chatfleet_api.runs.run import Run
from chatfleet_api.web.client import Client
from chatfleet_api.web.collect import as_error
from chatfleet_api.web.dialects.responses import operations
from chatfleet_api.web.dialects.responses.encode import ResponseEncoder
from chatfleet_api.web.dialects.responses.ids import response_id
from chatfleet_api.web.dialects.responses.references import resolved
from chatfleet_api.web.dialects.responses.request import read_response
from chatfleet_api.web.dialects.responses.stored import key_of
from chatfleet_api.web.hot_route import HotEndpoint, HotRoute
from chatfleet_api.web.idempotency import idempotency_key
from chatfleet_api.web.services import Services
from chatfleet_api.web.sse import json_text
from chatfleet_api.web.stream import SSEStreams

PATH: Final = "/v1/responses"
CANCEL_SECONDS: Final = 2.0
"""Longest that a cancel waits for the end of the run; it is stopped well before."""

_NUMBER: Final = re.compile("[0-9]{1,15}")


class CreateResponse(HotEndpoint):
    """In the background, or with a key, a response is written to its end; else as long as its client is connected."""

    def __init__(
        self, responses: Responses, approvals: Approvals, streams: SSEStreams, new_id: Callable[[], str]
    ) -> None:
        self._responses = responses
        self._once = Once(responses)
        self._approvals = ResponseApprovals(self._once, approvals)
        self._streams = streams
        self._new_id = new_id

    @override
    async def answer(self, client: Client) -> None:
        raw, key = await client.body(), idempotency_key(client)
        request_key = None if key is None else RequestKey.of(key, raw)
        raw = await resolved(raw, client.principal, self._responses)
        body = read_response(raw, client.principal)
        run = await self._run(client.principal, body.new, request_key)
        client.show(run.quota)
        # What is not stored gets an id that leads nowhere.
        nowhere = None if body.new.store else response_id(self._new_id(), self._new_id())
        stream, background = body.stream, body.new.background
        goes_on = background or (key is not None and body.new.store)  # who sends a key may come again for the answer
        del body, raw  # the items may be large, and the stream is long
        encoder = ResponseEncoder(nowhere, at_once=background)
        try:
            if stream:
                await self._streams.send(run.read, encoder, client)
            else:
                await client.respond_with(_started(run, encoder) if background else _whole(run, encoder))
        finally:
            if not goes_on:
                run.cancel()

    async def _run(self, principal: Principal, new: NewResponse, key: RequestKey | None) -> Run | ResponseReplay:
        """Start the run; with a key, once. Without a store there is nothing that knows the key."""
        if decisions := decisions_of(new.items):
            return await self._approvals.create(principal, new, decisions, key)
        if key is None or not new.store:
            return await self._responses.create(principal, new)
        return await self._once.create(principal, new, key)


class RetrieveResponse(HotEndpoint):
    """The response as it is, or, with `stream`, its events after `starting_after`."""

    def __init__(self, responses: Responses, streams: SSEStreams) -> None:
        self._responses = responses
        self._streams = streams

    @override
    async def answer(self, client: Client) -> None:
        query, principal = client.query, client.principal
        found = await self._responses.find(principal, key_of(client.path_param("response_id")))
        if query.get("stream") == "true":
            encoder = ResponseEncoder(after=_after(query.get("starting_after")), at_once=True)
            await self._streams.send(partial(self._responses.read, principal, found), encoder, client)
        else:
            await client.respond(_stored(found))


class CancelResponse(HotEndpoint):
    """Stops the run, on whichever pod, and answers with the response as it ended."""

    def __init__(self, responses: Responses) -> None:
        self._responses = responses

    @override
    async def answer(self, client: Client) -> None:
        key, principal = key_of(client.path_param("response_id")), client.principal
        found = await self._responses.find(principal, key)
        if found.answer.status == "pending":
            await self._responses.cancel(principal, key)
            with suppress(TimeoutError):
                async with asyncio.timeout(CANCEL_SECONDS), aclosing(self._responses.read(principal, found)) as batches:
                    async for _ in batches:
                        pass
            found = await self._responses.find(principal, key)
        await client.respond(_stored(found))


def hot_routes(services: Services) -> Sequence[HotRoute]:
    """Return the routes of responses."""
    responses, streams = services.responses, services.streams
    create = CreateResponse(responses, services.approvals, streams, services.new_id)
    retrieve, cancel = RetrieveResponse(responses, streams), CancelResponse(responses)
    one = PATH + "/{response_id}"
    return (
        HotRoute("POST", PATH, endpoint=create, operation=operations.CREATE),
        HotRoute("GET", one, endpoint=retrieve, operation=operations.RETRIEVE),
        HotRoute("POST", one + "/cancel", endpoint=cancel, operation=operations.CANCEL),
    )


async def _started(run: Run | ResponseReplay, encoder: ResponseEncoder) -> bytes:
    """Return the response at its beginning."""
    async with aclosing(run.read()) as batches:
        encoder.encode(await anext(batches))
    return json_text(encoder.response())


async def _whole(run: Run | ResponseReplay, encoder: ResponseEncoder) -> bytes:
    """Return the response at its end; raise `ChatError` when it failed."""
    async with aclosing(run.read()) as batches:
        async for batch in batches:
            encoder.encode(batch)
            if isinstance(failed := batch.events[-1], Failed):
                raise as_error(failed)
    return json_text(encoder.response())


def _stored(found: StoredResponse) -> bytes:
    encoder = ResponseEncoder()
    encoder.encode(found.batch())
    return json_text(encoder.response())


def _after(text: str | None) -> int:
    if text is None:
        return -1
    if not _NUMBER.fullmatch(text):
        message = "Invalid value for 'starting_after': send the sequence_number of the last event that was received."
        raise ChatError(Code.INVALID_REQUEST, message, param="starting_after")
    return int(text)
