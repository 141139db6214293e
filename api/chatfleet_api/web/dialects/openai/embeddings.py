"""`POST /v1/embeddings`: every field reaches the upstream, and every field of its answer the client."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from typing_extensions import override

from chatfleet_api.chat.embeddings import Embeddings
from chatfleet_api.domain.principal import ANONYMOUS, Principal
from chatfleet_api.providers.vectors import EmbeddingRequest
from chatfleet_api.web.body import decode_body
from chatfleet_api.web.client import Client
from chatfleet_api.web.dialects.openai.errors import VendorErrorBody
from chatfleet_api.web.documentation import fails, returns, takes
from chatfleet_api.web.hot_route import HotEndpoint, HotRoute, Operation

MAX_INPUTS: Final = 2048
"""Inputs of one request, as the vendor allows."""

_Inputs = msgspec.Meta(min_length=1, max_length=MAX_INPUTS)


class EmbeddingsBody(msgspec.Struct, frozen=True):
    """Body of `POST /v1/embeddings`; fields that are not known here go to the upstream, too."""

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    input: str | Annotated[list[str | int | list[int]], _Inputs]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, msgspec.Meta(ge=1)] | None = None
    user: str | None = None


_BODY: Final = msgspec.json.Decoder(EmbeddingsBody)
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class CreateEmbeddings(HotEndpoint):
    """The request ends when its client disconnects."""

    def __init__(self, embeddings: Embeddings) -> None:
        self._embeddings = embeddings

    @override
    async def answer(self, client: Client) -> None:
        request = read_embeddings(await client.body(), client.principal)
        await client.respond_with(self._embeddings.create(client.principal, request))


def read_embeddings(raw: bytes, caller: Principal = ANONYMOUS) -> EmbeddingRequest:
    """Parse and check the body of `caller`; raises `ChatError` that names the parameter."""
    body = decode_body(raw, _BODY)
    caller.user_of(body.user, "user")
    caller.require_model(body.model)
    fields: dict[str, Any] = dict(_FIELDS.decode(raw))
    return EmbeddingRequest(body.model, fields, body.encoding_format or "float")


_CREATE: Final[Operation] = {
    "tags": ["OpenAI dialect"],
    "summary": "Create embeddings",
    "description": "As in the OpenAI API, for models of OpenAI, Azure OpenAI and OpenAI-compatible providers.",
    "operationId": "create_embeddings",
    **takes(EmbeddingsBody),
    "responses": {**returns(dict, description="A list of embeddings."), **fails(VendorErrorBody)},
}


def embeddings_routes(embeddings: Embeddings) -> Sequence[HotRoute]:
    return (HotRoute("POST", "/v1/embeddings", endpoint=CreateEmbeddings(embeddings), operation=_CREATE),)
