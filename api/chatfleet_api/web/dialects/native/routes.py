"""Our own dialect: conversations whose history is the server's, and messages that are answered within them."""

import re
from collections.abc import Callable
from functools import partial
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query, Request, Response
from starlette.datastructures import QueryParams
from starlette.types import Receive, Scope, Send

from chatfleet_api.chat.chat import DEFAULT_TENANT, Chat
from chatfleet_api.chat.joining import Position, joined
from chatfleet_api.chat.replay import Replay
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.runs.run import Run
from chatfleet_api.web.dialects.body import require_json
from chatfleet_api.web.dialects.native import bodies
from chatfleet_api.web.dialects.native.encode import EventEncoder
from chatfleet_api.web.disconnect import Client, ClientDisconnected
from chatfleet_api.web.documentation import fails, returns, takes
from chatfleet_api.web.middleware.request_id import request_id
from chatfleet_api.web.stream import CLIENT_DISCONNECTED, COMPLETE, SSEStreams
from chatfleet_contract.spec import OnClientDisconnect

PREFIX: Final = "/api/v1/conversations"

_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_KEY: Final = re.compile("[!-~]{1,256}")
_POSITION: Final = re.compile(rf"(?:(?P<run>{_ID.pattern})-)?(?P<seq>[0-9]{{1,15}})")


class Messages:
    """`POST /api/v1/conversations/{id}/messages`. The run is the conversation's, not the request's."""

    def __init__(self, chat: Chat, streams: SSEStreams, *, on_disconnect: Callable[[], OnClientDisconnect]) -> None:
        """Let the run go on, or cancel it, when the client leaves that started it."""
        self._chat = chat
        self._streams = streams
        self._on_disconnect = on_disconnect

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; raises `ChatError` for what is to be told by an HTTP status."""
        client = Client(scope, receive, send)
        conversation = known_id(scope["path_params"]["conversation_id"])
        sent = bodies.read_message(await client.body())
        run = await self._chat.send(DEFAULT_TENANT, conversation, sent.message, key=_key(client))
        if sent.stream if sent.stream is not None else "text/event-stream" in (client.header(b"accept") or ""):
            ended = await self._streams.send(run.read, EventEncoder(run.id, request_id(scope)), client)
        else:
            ended = await self._answer(client, conversation, run)
        if ended == CLIENT_DISCONNECTED and self._on_disconnect() == "cancel":
            run.cancel()

    async def _answer(self, client: Client, conversation: str, run: Run | Replay) -> str:
        try:
            answer = await client.whole(run.read())
        except ClientDisconnected:
            return CLIENT_DISCONNECTED
        await client.respond(await self._reply(conversation, answer.start.message))
        return COMPLETE

    async def _reply(self, conversation: str, message: str | None) -> bytes:
        stored = await self._chat.sessions.messages(DEFAULT_TENANT, conversation)
        shown = next(bodies.message_body(conversation, each) for each in stored if each.id == message)
        return msgspec.json.encode(bodies.MessageReply(conversation, shown, shown.usage, shown.cost_usd))


def _key(client: Client) -> str | None:
    key = client.header(b"idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        says = "Invalid value for 'Idempotency-Key': send 1 to 256 visible characters, such as a UUID."
        raise ChatError(Code.INVALID_REQUEST, says, param="Idempotency-Key")
    return key


class Stream:
    """`GET /api/v1/conversations/{id}/stream`: join a run, or come back to it, on any pod."""

    def __init__(self, chat: Chat, streams: SSEStreams) -> None:
        self._chat = chat
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; 204 when nothing is to come, which also ends the attempts of an `EventSource`."""
        client = Client(scope, receive, send)
        conversation = known_id(scope["path_params"]["conversation_id"])
        at = await joined(self._chat, DEFAULT_TENANT, conversation, _seen(client))
        if at is None or at.run is None:
            await Response(status_code=204)(scope, receive, send)
            return
        read = partial(self._chat.pool.read, DEFAULT_TENANT, at.run)
        await self._streams.send(read, EventEncoder(at.run, request_id(scope)), client, after=at.seq)


def _seen(client: Client) -> Position | None:
    """Return what the client has seen; the header wins: browsers reconnect to the address that they began at."""
    if header := client.header(b"last-event-id"):
        return _position(header, "Last-Event-ID")
    after = QueryParams(client.scope["query_string"]).get("after")
    return None if after is None else _position(after, "after")


def _position(text: str, param: str) -> Position:
    parts = _POSITION.fullmatch(text)
    if parts is None:
        says = f"Invalid value for '{param}': send the id of the last event that was seen, <run>-<number>."
        raise ChatError(Code.INVALID_REQUEST, says, param=param)
    return Position(parts["run"], int(parts["seq"]))


_CONVERSATION: Final = {
    "name": "conversation_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "format": "uuid"},
}
JOINING: Final = {
    "tags": ["Conversations"],
    "summary": "Join or resume a stream",
    "description": "Sends the events of the newest answer, from its first or from the one after `Last-Event-ID` (or"
    " `after`), while it is written and for some time after its end. Any number of clients may join.",
    "operationId": "join_stream",
    "parameters": [
        _CONVERSATION,
        {"name": "Last-Event-ID", "in": "header", "schema": {"type": "string"}},
        {"name": "after", "in": "query", "schema": {"type": "string"}, "description": "<run>-<number>, or the number."},
    ],
    "responses": {
        "200": {"description": "The events.", "content": {"text/event-stream": {}}},
        "204": {"description": "Nothing is to come."},
        **fails(bodies.ErrorBody),
    },
}
OPERATION: Final = {
    "tags": ["Conversations"],
    "summary": "Send a message",
    "description": "Stores the message and answers it as JSON or, with `stream` or `Accept: text/event-stream`, as the"
    " events `start token reasoning tool_call complete error`, each with the id by which a stream is resumed.",
    "operationId": "send_message",
    "parameters": [_CONVERSATION, {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string"}}],
    **takes(bodies.SendMessageBody),
    "responses": {
        "200": {
            "description": "The answer, or its events.",
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/MessageReply"}},
                "text/event-stream": {},
            },
        },
        **fails(bodies.ErrorBody),
    },
}


def conversation_routes(chat: Chat) -> APIRouter:
    """Return the routes of conversations."""
    router = APIRouter(prefix=PREFIX, tags=["Conversations"], responses=fails(bodies.ErrorBody))

    @router.post(
        "",
        status_code=201,
        openapi_extra=takes(bodies.NewConversationBody, required=False) | returns(bodies.ConversationBody, 201),
    )
    async def create_conversation(request: Request) -> Response:
        """Begin a conversation."""
        raw = await request.body()
        if raw:
            require_json(request.headers.get("content-type"))
        body = bodies.read_new_conversation(raw)
        made = await chat.create(DEFAULT_TENANT, user_id=body.user_id, title=body.title, metadata=body.metadata)
        return _json(bodies.conversation_body(made), status=201)

    @router.get("", openapi_extra=returns(bodies.ConversationList))
    async def list_conversations(
        user_id: Annotated[str | None, Query(max_length=256)] = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        cursor: Annotated[str | None, Query(max_length=256)] = None,
    ) -> Response:
        """List conversations, newest change first."""
        page = await chat.sessions.list(DEFAULT_TENANT, user_id=user_id, limit=limit, cursor=cursor)
        return _json(bodies.ConversationList([*map(bodies.conversation_body, page.items)], page.next))

    @router.get("/{conversation_id}", openapi_extra=returns(bodies.ConversationWithMessages))
    async def get_conversation(conversation_id: str) -> Response:
        """Return a conversation with its messages."""
        known = await chat.sessions.get(DEFAULT_TENANT, known_id(conversation_id))
        messages = await chat.sessions.messages(DEFAULT_TENANT, known.id)
        return _json(bodies.conversation_with_messages(known, messages))

    @router.delete("/{conversation_id}", status_code=204)
    async def delete_conversation(conversation_id: str) -> Response:
        """Forget a conversation and its messages; an answer that is being written is cancelled."""
        await chat.delete(DEFAULT_TENANT, known_id(conversation_id))
        return Response(status_code=204)

    @router.post("/{conversation_id}/cancel", openapi_extra=returns(bodies.CancelBody, 202))
    async def cancel_answer(conversation_id: str) -> Response:
        """Stop the answer that is being written, on whichever pod: 202, or 200 when there is none."""
        run = await chat.cancel(DEFAULT_TENANT, known_id(conversation_id))
        return _json(bodies.CancelBody(conversation_id, run), status=200 if run is None else 202)

    @router.get("/{conversation_id}/messages", openapi_extra=returns(bodies.MessageList))
    async def list_messages(conversation_id: str) -> Response:
        """List the messages of a conversation, oldest first."""
        messages = await chat.sessions.messages(DEFAULT_TENANT, known_id(conversation_id))
        return _json(bodies.MessageList(conversation_id, bodies.message_bodies(conversation_id, messages)))

    return router


def known_id(text: str) -> str:
    """Return `text` if it can be an id of ours; raise `ChatError(CONVERSATION_NOT_FOUND)` if not.

    So no other text ever becomes part of a key.
    """
    if _ID.fullmatch(text) is None:
        raise ChatError(Code.CONVERSATION_NOT_FOUND)
    return text


def _json(body: msgspec.Struct, *, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, {"cache-control": "no-store"}, "application/json")
