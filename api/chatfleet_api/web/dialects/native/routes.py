"""Conversations whose history the server keeps, and messages that are answered within them."""

import re
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, Literal, TypeAlias

import msgspec
from fastapi import APIRouter, Request, Response
from typing_extensions import override

from chatfleet_api.chat.conversations import Conversations
from chatfleet_api.chat.joining import Joining, LastSeen
from chatfleet_api.chat.new_conversation import NewConversation
from chatfleet_api.chat.replay import Replay
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.principal import Principal
from chatfleet_api.runs.run import Run
from chatfleet_api.sessions.tree import parents
from chatfleet_api.web.body import require_json
from chatfleet_api.web.caller import Caller
from chatfleet_api.web.client import Client
from chatfleet_api.web.collect import collect
from chatfleet_api.web.conversation_endpoint import ConversationEndpoint
from chatfleet_api.web.dialects.native import bodies, operations
from chatfleet_api.web.dialects.native.encode import EventEncoder
from chatfleet_api.web.dialects.native.request import (
    MessageRequest,
    NewConversationBody,
    is_streamed,
    read_approvals,
    read_message,
    read_new_conversation,
    read_regenerate,
)
from chatfleet_api.web.documentation import fails, returns, takes
from chatfleet_api.web.hot_route import HotEndpoint, HotRoute
from chatfleet_api.web.idempotency import idempotency_key
from chatfleet_api.web.services import Services
from chatfleet_api.web.stream import SSEStreams

PREFIX: Final = "/api/v1/conversations"

Branches: TypeAlias = Literal["current", "all"]
_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_POSITION: Final = re.compile(rf"(?:(?P<run>{_ID.pattern})-)?(?P<seq>[0-9]{{1,15}})")


class SendMessage(ConversationEndpoint):
    """The run is the conversation's, not the request's."""

    async def _read(self, client: Client) -> MessageRequest:
        return read_message(await client.body())

    @override
    async def answer(self, client: Client) -> None:
        conversation, principal = known_id(client.path_param("conversation_id")), client.principal
        sent = await self._read(client)
        run = await self._conversations.send(principal, conversation, sent.message, key=idempotency_key(client))
        await self._respond(client, conversation, run, stream=sent.stream)

    async def _respond(self, client: Client, conversation: str, run: Run | Replay, *, stream: bool | None) -> None:
        if is_streamed(stream, client.header(b"accept") or ""):
            await self.stream(run, EventEncoder(run.id, client.request_id), client)
        else:
            client.show(run.quota)
            self.ended(run, await client.respond_with(self._whole(client.principal, conversation, run)))

    async def _whole(self, principal: Principal, conversation: str, run: Run | Replay) -> bytes:
        """Return the answer as it is stored."""
        message = (await collect(run.read())).start.message
        stored = await self._conversations.messages(principal, conversation)
        parent = parents(stored)[message or ""]
        answer = next(bodies.message_body(conversation, each, parent) for each in stored if each.id == message)
        return msgspec.json.encode(bodies.MessageReply(conversation, answer, answer.usage, answer.cost_usd))


class Regenerate(SendMessage):
    """Answers a message again; the answers before stay."""

    @override
    async def _read(self, client: Client) -> MessageRequest:
        return read_regenerate(await client.body(), client.path_param("message_id"))


class Approve(SendMessage):
    """Decides about the calls that an answer has paused for; the answer that goes on is as of a message."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._approvals = services.approvals

    @override
    async def answer(self, client: Client) -> None:
        conversation = known_id(client.path_param("conversation_id"))
        sent = read_approvals(await client.body())
        run = await self._approvals.approve(client.principal, conversation, sent.decisions)
        await self._respond(client, conversation, run, stream=sent.stream)


class JoinStream(HotEndpoint):
    """Joins a run, or resumes its stream, on any pod."""

    def __init__(self, joining: Joining, streams: SSEStreams) -> None:
        self._joining = joining
        self._streams = streams

    @override
    async def answer(self, client: Client) -> None:
        conversation = known_id(client.path_param("conversation_id"))
        at = await self._joining.find(client.principal, conversation, _last_seen(client))
        if at is None:
            await Response(status_code=204)(client.scope, client.receive, client.send)
            return
        read = partial(self._joining.read, client.principal, at.run)
        await self._streams.send(read, EventEncoder(at.run, client.request_id), client, after=at.seq)


def hot_routes(services: Services) -> Sequence[HotRoute]:
    one, streams = PREFIX + "/{conversation_id}", services.streams
    send = SendMessage(services)
    again, approve = Regenerate(services), Approve(services)
    join = JoinStream(services.joining, streams)
    return (
        HotRoute("POST", one + "/messages", endpoint=send, operation=operations.SEND),
        HotRoute("POST", one + "/messages/{message_id}/regenerate", endpoint=again, operation=operations.REGENERATE),
        HotRoute("POST", one + "/approvals", endpoint=approve, operation=operations.APPROVE),
        HotRoute("GET", one + "/stream", endpoint=join, operation=operations.JOIN),
    )


def _last_seen(client: Client) -> LastSeen | None:
    """Return what the client has seen. The header wins: browsers reconnect to the URL that they began at."""
    if header := client.header(b"last-event-id"):
        return _position(header, "Last-Event-ID")
    after = client.query.get("after")
    return None if after is None else _position(after, "after")


def _position(text: str, param: str) -> LastSeen:
    parts = _POSITION.fullmatch(text)
    if parts is None:
        message = f"Invalid value for '{param}': send the id of the last event that was received, <run>-<number>."
        raise ChatError(Code.INVALID_REQUEST, message, param=param)
    return LastSeen(parts["run"], int(parts["seq"]))


def conversation_routes(conversations: Conversations) -> APIRouter:
    router = APIRouter(prefix=PREFIX, tags=["Conversations"], responses=fails(bodies.ErrorBody))

    @router.post(
        "",
        status_code=201,
        openapi_extra=takes(NewConversationBody, required=False) | _answers(bodies.ConversationBody, 201),
    )
    async def create_conversation(request: Request, caller: Caller) -> Response:
        """Create a conversation."""
        raw = await request.body()
        if raw:
            require_json(request.headers.get("content-type"))
        body = read_new_conversation(raw)
        user = caller.user_of(body.user_id)
        new = NewConversation(user_id=user, title=body.title, metadata=body.metadata)
        made = await conversations.create(caller, new)
        return _json(bodies.conversation_body(made), status=201)

    @router.get("/{conversation_id}", openapi_extra=_answers(bodies.ConversationWithMessages))
    async def get_conversation(conversation_id: str, caller: Caller, branches: Branches = "current") -> Response:
        """Return a conversation with the messages of its current path, or of all branches."""
        known = await conversations.get(caller, known_id(conversation_id))
        messages = await conversations.messages(caller, known.id)
        return _json(bodies.conversation_with_messages(known, messages, branches=branches == "all"))

    @router.delete("/{conversation_id}", status_code=204)
    async def delete_conversation(conversation_id: str, caller: Caller) -> Response:
        """Delete a conversation and its messages; an answer that is being written is cancelled."""
        await conversations.delete(caller, known_id(conversation_id))
        return Response(status_code=204)

    @router.post("/{conversation_id}/cancel", openapi_extra=_answers(bodies.CancelBody, 202))
    async def cancel_answer(conversation_id: str, caller: Caller) -> Response:
        """Cancel the answer that is being written: 202, or 200 when there is none."""
        run = await conversations.cancel(caller, known_id(conversation_id))
        return _json(bodies.CancelBody(conversation_id, run), status=200 if run is None else 202)

    @router.get("/{conversation_id}/messages", openapi_extra=_answers(bodies.MessageList))
    async def list_messages(conversation_id: str, caller: Caller, branches: Branches = "current") -> Response:
        """List the messages of the current path of a conversation, or of all branches, oldest first."""
        known = await conversations.get(caller, known_id(conversation_id))
        messages = await conversations.messages(caller, known.id)
        return _json(bodies.message_list(known, messages, branches=branches == "all"))

    return router


def known_id(text: str) -> str:
    """Return `text` if it can be an id of ours; raise `ChatError(CONVERSATION_NOT_FOUND)` if not.

    So no other text ever becomes part of a key.
    """
    if _ID.fullmatch(text) is None:
        raise ChatError(Code.CONVERSATION_NOT_FOUND)
    return text


def _answers(body: type[msgspec.Struct], status: int = 200) -> dict[str, Any]:
    return {"responses": returns(body, status)}


def _json(body: msgspec.Struct, *, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, {"cache-control": "no-store"}, "application/json")
