"""A message whose session is made with it, and what a session is like."""

from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeAlias

import msgspec
from fastapi import APIRouter, Response
from typing_extensions import override

from chatfleet_api.chat import history
from chatfleet_api.chat.client_ids import conversation_of, ensure
from chatfleet_api.chat.conversations import Conversations
from chatfleet_api.chat.new_conversation import NewConversation
from chatfleet_api.chat.usage_reports import UsageReports
from chatfleet_api.domain.errors import ConversationNotFoundError
from chatfleet_api.domain.principal import Principal
from chatfleet_api.sessions.store import StoredMessage
from chatfleet_api.usage.report import UsageSums
from chatfleet_api.web.caller import Caller
from chatfleet_api.web.client import Client
from chatfleet_api.web.conversation_endpoint import ConversationEndpoint
from chatfleet_api.web.dialects.native import bodies
from chatfleet_api.web.dialects.native.routes import known_id
from chatfleet_api.web.dialects.sessions import operations
from chatfleet_api.web.dialects.sessions.encode import SessionEncoder
from chatfleet_api.web.dialects.sessions.request import Sent, read_chat, read_chat_stream
from chatfleet_api.web.documentation import fails, returns
from chatfleet_api.web.hot_route import HotRoute
from chatfleet_api.web.idempotency import idempotency_key
from chatfleet_api.web.services import Services

CHAT: Final = "/chat"
CHAT_STREAM: Final = "/api/chat/stream"

SessionStatus: TypeAlias = Literal["active", "paused", "completed"]


class SessionBody(bodies.ConversationWithMessages, frozen=True):
    """A conversation as a session.

    `active`: an answer is being written. `completed`: the last answer is whole. `paused`: it is not, or there is none.
    """

    session_id: str
    last_activity: str
    status: SessionStatus
    resource_usage: UsageSums


class SendToSession(ConversationEndpoint):
    """The run is the session's, not the request's: it is resumed at `GET /api/v1/conversations/{id}/stream`."""

    def __init__(self, read: Callable[[bytes], Sent], services: Services) -> None:
        super().__init__(services)
        self._read = read

    @override
    async def answer(self, client: Client) -> None:
        sent = self._read(await client.body())
        principal, key = client.principal, idempotency_key(client)
        user = principal.user_of(sent.user)
        session = await self._known(principal, sent) or await self._made(principal, sent, user, key)
        run = await self._conversations.send(principal, session, sent.message, key=key)
        await self.stream(run, SessionEncoder(run.id, client.request_id), client)

    async def _known(self, principal: Principal, sent: Sent) -> str | None:
        """Return the session that the message names; None if it names none, or none that the caller has."""
        if sent.session is None:
            return None
        try:
            return (await self._conversations.get(principal, known_id(sent.session))).id
        except ConversationNotFoundError:
            return None

    async def _made(self, principal: Principal, sent: Sent, user: str | None, key: str | None) -> str:
        """Make a session, with an id that the server chooses, and return it; the same one for the same key."""
        if key is None:
            new = NewConversation(user_id=user, items=sent.history, param="history")
            return (await self._conversations.create(principal, new)).id
        session = conversation_of(principal, f"session\n{key}")
        await ensure(self._conversations, principal, session, user=user, items=sent.history)
        return session


def chat_routes(services: Services) -> Sequence[HotRoute]:
    return (HotRoute("POST", CHAT, endpoint=SendToSession(read_chat, services), operation=operations.CHAT),)


def chat_stream_routes(services: Services) -> Sequence[HotRoute]:
    endpoint = SendToSession(read_chat_stream, services)
    return (HotRoute("POST", CHAT_STREAM, endpoint=endpoint, operation=operations.CHAT_STREAM),)


def session_routes(conversations: Conversations, usage: UsageReports) -> APIRouter:
    router = APIRouter(prefix="/sessions", tags=["Sessions"], responses=fails(bodies.ErrorBody))

    @router.get("/{session_id}", openapi_extra={"responses": returns(SessionBody)})
    async def get_session(session_id: str, caller: Caller) -> Response:
        """Return a session: its conversation with its messages, its status and what it has used."""
        known = await conversations.get(caller, known_id(session_id))
        messages = await conversations.messages(caller, known.id)
        shown = bodies.conversation_with_messages(known, messages)
        body = SessionBody(
            **msgspec.structs.asdict(shown),
            session_id=known.id,
            last_activity=known.updated_at,
            status=session_status(messages),
            resource_usage=await usage.conversation(caller, known.id),
        )
        return Response(msgspec.json.encode(body), headers={"cache-control": "no-store"}, media_type="application/json")

    @router.delete("/{session_id}", status_code=204)
    async def delete_session(session_id: str, caller: Caller) -> Response:
        """Delete a session with its conversation; an answer that is being written is cancelled."""
        await conversations.delete(caller, known_id(session_id))
        return Response(status_code=204)

    return router


def session_status(messages: Sequence[StoredMessage]) -> SessionStatus:
    """Return what a session with these messages is doing."""
    if history.pending(tuple(messages)) is not None:
        return "active"
    last = messages[-1] if messages else None
    return "completed" if last and last.role == "assistant" and last.status == "complete" else "paused"
