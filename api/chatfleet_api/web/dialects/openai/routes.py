"""The OpenAI dialect: `POST /v1/chat/completions`, as pure ASGI, and the list of models."""

from contextlib import suppress
from typing import Final

from fastapi import APIRouter, Response
from starlette.types import Receive, Scope, Send

from chatfleet_api.chat.chat import DEFAULT_TENANT, Chat
from chatfleet_api.web.dialects.openai.encode import ChunkEncoder, VendorErrorBody, completion_body, model_object
from chatfleet_api.web.dialects.openai.request import ChatCompletionBody, read_completion
from chatfleet_api.web.dialects.sse import json_text
from chatfleet_api.web.disconnect import Client, ClientDisconnected
from chatfleet_api.web.documentation import fails, takes
from chatfleet_api.web.stream import SSEStreams


class Completions:
    """`POST /v1/chat/completions`. Nobody can come back to such a run, so it ends when its client leaves."""

    def __init__(self, chat: Chat, streams: SSEStreams) -> None:
        self._chat = chat
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; raises `ChatError` for what is to be told by an HTTP status."""
        client = Client(scope, receive, send)
        asked = read_completion(await client.body())
        run = await self._chat.complete(DEFAULT_TENANT, asked.request)
        try:
            if asked.stream:
                await self._streams.send(run.read, ChunkEncoder(include_usage=asked.include_usage), client)
            else:
                with suppress(ClientDisconnected):
                    await client.respond(completion_body(await client.whole(run.read()), asked.metadata))
        finally:
            run.cancel()


OPERATION: Final = {
    "tags": ["OpenAI dialect"],
    "summary": "Answer a chat",
    "description": "As the OpenAI API: one JSON answer, or, with `stream`, server-sent events that end with `[DONE]`.",
    "operationId": "create_chat_completion",
    **takes(ChatCompletionBody),
    "responses": {
        "200": {
            "description": "A chat.completion, or its chunks.",
            "content": {"application/json": {"schema": {"type": "object"}}, "text/event-stream": {}},
        },
        **fails(VendorErrorBody),
    },
}


def model_routes(chat: Chat) -> APIRouter:
    """Return the routes of the catalogue."""
    router = APIRouter(prefix="/v1/models", tags=["OpenAI dialect"], responses=fails(VendorErrorBody))

    @router.get("")
    async def list_models() -> Response:
        """List the models that can be asked for."""
        models = [model_object(name) for name in chat.catalogue().models()]
        return Response(json_text({"object": "list", "data": models}), media_type="application/json")

    @router.get("/{name:path}")
    async def get_model(name: str) -> Response:
        """Return one model."""
        chat.catalogue().provider(name)  # raises when there is none
        return Response(json_text(model_object(name)), media_type="application/json")

    return router
