"""A message to a chat, and the stream of the answer that is being written in it."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from starlette.responses import Response
from starlette.types import Message, Send
from typing_extensions import override

from chatfleet_api.chat.client_ids import conversation_of, ensure
from chatfleet_api.chat.joining import Joining
from chatfleet_api.chat.replay import Replay
from chatfleet_api.domain.errors import ChatError, Code, ConversationNotFoundError
from chatfleet_api.domain.principal import Principal
from chatfleet_api.runs.run import Run
from chatfleet_api.web.client import Client
from chatfleet_api.web.conversation_endpoint import ConversationEndpoint
from chatfleet_api.web.dialects.ai_sdk import operations
from chatfleet_api.web.dialects.ai_sdk.encode import UIMessageEncoder
from chatfleet_api.web.dialects.ai_sdk.request import Question, invalid, known_chat, read_question
from chatfleet_api.web.hot_route import HotEndpoint, HotRoute
from chatfleet_api.web.services import Services
from chatfleet_api.web.stream import SSEStreams

PREFIX: Final = "/api/v1/ai-sdk"
STREAM_HEADER: Final = (b"x-vercel-ai-ui-message-stream", b"v1")


class SendToChat(ConversationEndpoint):
    """The run is the chat's, not the request's: a client that reloads its page resumes it."""

    @override
    async def answer(self, client: Client) -> None:
        question = read_question(await client.body())
        principal = client.principal
        conversation = conversation_of(principal, question.chat)
        await ensure(self._conversations, principal, conversation)
        run = await self._started(principal, conversation, question)
        await self.stream(run, UIMessageEncoder(client.request_id), _marked(client))

    async def _started(self, principal: Principal, conversation: str, question: Question) -> Run | Replay:
        """Start the run, or join that of the same message; raise `ChatError(INVALID_REQUEST)` for another version."""
        try:
            run = await self._conversations.send(principal, conversation, question.message, key=question.key)
        except ChatError as error:
            if error.code is Code.IDEMPOTENCY_MISMATCH:
                raise invalid(
                    "messages", "this server keeps each message. Send a new one with an id of its own"
                ) from None
            raise
        if question.regenerates and isinstance(run, Replay) and run.answer.status != "pending":
            raise invalid("trigger", "this server keeps each answer. Send a new message instead of regenerating")
        return run


class ResumeChat(HotEndpoint):
    """Replays the newest answer, on any pod, while it is written and as long as its events are kept."""

    def __init__(self, joining: Joining, streams: SSEStreams) -> None:
        self._joining = joining
        self._streams = streams

    @override
    async def answer(self, client: Client) -> None:
        conversation = conversation_of(client.principal, known_chat(client.path_param("chat_id")))
        try:
            at = await self._joining.find(client.principal, conversation, None)
        except ConversationNotFoundError:  # pages resume each chat, also one without a message
            at = None
        if at is None:
            await Response(status_code=204)(client.scope, client.receive, client.send)
            return
        read = partial(self._joining.read, client.principal, at.run)
        await self._streams.send(read, UIMessageEncoder(client.request_id), _marked(client))


def hot_routes(services: Services) -> Sequence[HotRoute]:
    send = SendToChat(services)
    resume = ResumeChat(services.joining, services.streams)
    return (
        HotRoute("POST", PREFIX, endpoint=send, operation=operations.SEND),
        HotRoute("GET", PREFIX + "/{chat_id}/stream", endpoint=resume, operation=operations.RESUME),
    )


def _marked(client: Client) -> Client:
    """Return a client whose response has the header of the protocol."""
    return replace(client, send=partial(_send_marked, client.send))


async def _send_marked(send: Send, message: Message) -> None:
    if message["type"] == "http.response.start":
        message = {**message, "headers": [*message["headers"], STREAM_HEADER]}
    await send(message)
