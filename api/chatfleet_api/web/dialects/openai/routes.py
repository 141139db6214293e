"""`POST /v1/chat/completions`, and the list of models."""

from collections.abc import Sequence
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from typing_extensions import override

from chatfleet_api.chat.completions import Completions
from chatfleet_api.chat.models import Models, allowed
from chatfleet_api.domain.errors import ChatError
from chatfleet_api.domain.live import Live
from chatfleet_api.domain.principal import Principal
from chatfleet_api.runs.run import Run
from chatfleet_api.web.caller import Caller
from chatfleet_api.web.client import Client
from chatfleet_api.web.collect import collect
from chatfleet_api.web.dialects.messages.errors import error_body
from chatfleet_api.web.dialects.messages.models import model_info, model_list
from chatfleet_api.web.dialects.openai.body import ChatCompletionBody
from chatfleet_api.web.dialects.openai.encode import ChunkEncoder, completion_body, model_object
from chatfleet_api.web.dialects.openai.errors import VendorErrorBody
from chatfleet_api.web.dialects.openai.request import CompletionRequest, read_completion
from chatfleet_api.web.documentation import fails, returns, takes
from chatfleet_api.web.hot_route import HotEndpoint, HotRoute, Operation
from chatfleet_api.web.services import Services
from chatfleet_api.web.sse import json_text
from chatfleet_api.web.state import request_id
from chatfleet_api.web.stream import SSEStreams

VERSION_HEADER: Final = "anthropic-version"
"""Sent by Anthropic's clients, which list the models at the same path."""


class CreateCompletion(HotEndpoint):
    """No client can resume such a run, so it ends when its client disconnects."""

    def __init__(self, completions: Completions, streams: SSEStreams) -> None:
        self._completions = completions
        self._streams = streams

    @override
    async def answer(self, client: Client) -> None:
        completion = read_completion(await client.body(), client.principal)
        run = await self._completions.start(client.principal, completion.request)
        client.show(run.quota)
        try:
            if completion.stream:
                await self._streams.send(run.read, ChunkEncoder(include_usage=completion.include_usage), client)
            else:
                await client.respond_with(_whole(run, completion))
        finally:
            run.cancel()


async def _whole(run: Run, completion: CompletionRequest) -> bytes:
    return completion_body(await collect(run.read()), completion.metadata)


_CREATE: Final[Operation] = {
    "tags": ["OpenAI dialect"],
    "summary": "Create a chat completion",
    "description": "As in the OpenAI API: a JSON object or, with `stream`, server-sent events that end with `[DONE]`.",
    "operationId": "create_chat_completion",
    **takes(ChatCompletionBody),
    "responses": {
        **returns(dict, description="A chat.completion, or its chunks.", streams=True),
        **fails(VendorErrorBody),
    },
}


def hot_routes(services: Services) -> Sequence[HotRoute]:
    create = CreateCompletion(services.completions, services.streams)
    return (HotRoute("POST", "/v1/chat/completions", endpoint=create, operation=_CREATE),)


def model_routes(models: Live[Models]) -> APIRouter:
    router = APIRouter(prefix="/v1/models", tags=["OpenAI dialect"], responses=fails(VendorErrorBody))

    @router.get("")
    async def list_models(request: Request, caller: Caller) -> Response:
        """List the models; in Anthropic's shape with the header anthropic-version."""
        listed = _dated(caller, models())
        if VERSION_HEADER in request.headers:
            return _for_anthropic(request, model_list(listed))
        body = {"object": "list", "data": [model_object(name, day) for name, day in listed]}
        return Response(json_text(body), media_type="application/json")

    @router.get("/{name:path}")
    async def get_model(name: str, request: Request, caller: Caller) -> Response:
        """Retrieve a model; in Anthropic's shape with the header anthropic-version."""
        is_anthropics = VERSION_HEADER in request.headers
        try:
            caller.require_model(name)
            day = models().shutdown_date(name)  # raises when there is no such model
        except ChatError as error:
            if not is_anthropics:
                raise
            body = error_body(error, request_id(request.scope))
            return _for_anthropic(request, body, status=error.facts.status)
        if is_anthropics:
            return _for_anthropic(request, model_info(name, day))
        return Response(json_text(model_object(name, day)), media_type="application/json")

    return router


def _dated(caller: Principal, models: Models) -> Sequence[tuple[str, str | None]]:
    """Return the models of a caller, each with the day on which it shuts down, if that is known."""
    return [(name, models.shutdown_date(name)) for name in allowed(caller, models)]


def _for_anthropic(request: Request, body: dict[str, Any] | bytes, *, status: int = 200) -> Response:
    content = body if isinstance(body, bytes) else json_text(body)
    headers = {"request-id": request_id(request.scope)}
    return Response(content, status, headers, media_type="application/json")
