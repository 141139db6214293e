"""`POST /v1/messages`, and the count of the tokens of one."""

from collections.abc import Sequence
from typing import Final

from typing_extensions import override

from chatfleet_api.chat.completions import Completions
from chatfleet_api.chat.models import Models
from chatfleet_api.domain.live import Live
from chatfleet_api.domain.usage_estimate import tokens_of
from chatfleet_api.web.client import Client
from chatfleet_api.web.dialects.messages.body import CountTokensBody, MessagesBody, TokenCount
from chatfleet_api.web.dialects.messages.encode import MessageEncoder
from chatfleet_api.web.dialects.messages.errors import MessagesErrorBody
from chatfleet_api.web.dialects.messages.message import collected
from chatfleet_api.web.dialects.messages.request import read_count, read_message
from chatfleet_api.web.documentation import fails, returns, takes
from chatfleet_api.web.hot_route import HotEndpoint, HotRoute, Operation
from chatfleet_api.web.services import Services
from chatfleet_api.web.sse import json_text
from chatfleet_api.web.stream import SSEStreams

PATH: Final = "/v1/messages"


class CreateMessage(HotEndpoint):
    """No client can resume such a run, so it ends when its client disconnects."""

    def __init__(self, completions: Completions, streams: SSEStreams) -> None:
        self._completions = completions
        self._streams = streams

    @override
    async def answer(self, client: Client) -> None:
        sent = read_message(await client.body(), *_versions(client), caller=client.principal)
        run = await self._completions.start(client.principal, sent.request)
        client.show(run.quota)
        try:
            if sent.stream:
                await self._streams.send(run.read, MessageEncoder(client.request_id), client)
            else:
                await client.respond_with(collected(run.read()))
        finally:
            run.cancel()


class CountTokens(HotEndpoint):
    """Counts by the model's provider where it can, else estimates."""

    def __init__(self, models: Live[Models]) -> None:
        self._models = models

    @override
    async def answer(self, client: Client) -> None:
        request = read_count(await client.body(), *_versions(client))
        client.principal.require_model(request.model)
        counted = await self._models().count_tokens(request)
        count = TokenCount(tokens_of(request), estimated=True) if counted is None else TokenCount(counted)
        await client.respond(json_text(count))


def _versions(client: Client) -> tuple[str | None, str | None]:
    return client.header(b"anthropic-version"), client.header(b"anthropic-beta")


_TAGS: Final = ["Anthropic dialect"]
_CREATE: Final[Operation] = {
    "tags": _TAGS,
    "summary": "Create a message",
    "description": "As in Anthropic's API: a JSON object or, with `stream`, server-sent events that end with"
    " `message_stop`.",
    "operationId": "create_message",
    **takes(MessagesBody),
    "responses": {**returns(dict, description="A message, or its events.", streams=True), **fails(MessagesErrorBody)},
}
_COUNT: Final[Operation] = {
    "tags": _TAGS,
    "summary": "Count the tokens of a message",
    "description": "`estimated` is true when the model's provider has no count.",
    "operationId": "count_message_tokens",
    **takes(CountTokensBody),
    "responses": {**returns(TokenCount, description="The count."), **fails(MessagesErrorBody)},
}


def hot_routes(services: Services) -> Sequence[HotRoute]:
    create = CreateMessage(services.completions, services.streams)
    return (
        HotRoute("POST", PATH, endpoint=create, operation=_CREATE),
        HotRoute("POST", f"{PATH}/count_tokens", endpoint=CountTokens(services.models), operation=_COUNT),
    )
