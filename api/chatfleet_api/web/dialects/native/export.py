"""A conversation as a document: JSON that can be imported, or Markdown to read."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Query, Response
from msgspec.structs import replace

from chatfleet_api.chat.conversations import Conversations
from chatfleet_api.chat.relayed import output_of
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import AgentUsage, Citation, ContextUse, FinishReason, Retrieval, Thought, Usage
from chatfleet_api.domain.request import AnyToolCall
from chatfleet_api.sessions.store import Conversation, StoredMessage
from chatfleet_api.sessions.tree import ROOT, current_path, parents
from chatfleet_api.web.caller import Caller
from chatfleet_api.web.dialects.native import bodies
from chatfleet_api.web.dialects.native.markdown import markdown
from chatfleet_api.web.dialects.native.routes import PREFIX, known_id
from chatfleet_api.web.documentation import fails, returns

FORMAT: Final = "chatfleet.conversation.v1"

_Label = Annotated[str, msgspec.Meta(max_length=256)]


class ExportedMessage(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """A message of an export: all that a conversation keeps of it. Ids are new after an import."""

    id: str | None = None
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str = ""
    created_at: str
    """RFC 3339, with zone."""
    status: Literal["complete", "failed", "cancelled", "interrupted"] = "complete"
    run: str | None = None
    provider: _Label | None = None
    model: _Label | None = None
    upstream_model: _Label | None = None
    finish_reason: FinishReason | None = None
    error_code: Code | None = None
    tool_calls: list[AnyToolCall] | None = None
    reasoning: str | None = None
    thoughts: list[Thought] | None = None
    """The reasoning in parts, when its vendor has signed them."""
    usage: Usage | None = None
    latency_ms: Annotated[int, msgspec.Meta(ge=0)] | None = None
    context: ContextUse | None = None
    citations: tuple[Citation, ...] = ()
    retrieval: Retrieval = ""
    agents: tuple[AgentUsage, ...] = ()
    item: dict[str, Any] | None = None
    """The item of the OpenAI dialect that it was sent as; without one it is text."""
    parent_id: str | msgspec.UnsetType | None = msgspec.UNSET
    """The message that it follows, null: none. Absent: it follows the one before it."""
    output: list[dict[str, Any]] | None = None
    """Of an answer: its items, as an upstream of the OpenAI Responses API wrote them."""


class ConversationExport(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation with the messages of its current path, oldest first, without an answer that is being written."""

    format: Literal["chatfleet.conversation.v1"]
    id: str
    user_id: str | None
    title: str | None
    metadata: dict[str, Any]
    created_at: str
    messages: list[ExportedMessage]
    head: str | msgspec.UnsetType = msgspec.UNSET
    """The message that the current path ends with, where that is not the last."""


def export_routes(conversations: Conversations) -> APIRouter:
    router = APIRouter(prefix=PREFIX, tags=["Conversations"], responses=fails(bodies.ErrorBody))

    @router.get("/{conversation_id}/export", openapi_extra={"responses": returns(ConversationExport)})
    async def export_conversation(
        conversation_id: str,
        caller: Caller,
        form: Annotated[Literal["json", "markdown"], Query(alias="format")] = "json",
        branches: Literal["current", "all"] = "current",
    ) -> Response:
        """Return a conversation as a file: JSON, which can be imported, or Markdown."""
        if form == "markdown" and branches == "all":
            message = "Invalid value for 'branches': Markdown has the current branch. Send format=json for all."
            raise ChatError(Code.INVALID_REQUEST, message, param="branches")
        known = await conversations.get(caller, known_id(conversation_id))
        stored = await conversations.messages(caller, known.id)
        path = _written(current_path(known, stored))
        if form == "markdown":
            return _file(markdown(known, path).encode(), f"conversation-{known.id}.md", "text/markdown")
        document = exported(known, path) if branches == "current" else exported_tree(known, stored, path)
        text = msgspec.json.format(msgspec.json.encode(document))
        return _file(text, f"conversation-{known.id}.json", "application/json")

    return router


def exported(conversation: Conversation, messages: Sequence[StoredMessage]) -> ConversationExport:
    """Return a conversation and its messages as a document."""
    return ConversationExport(
        format="chatfleet.conversation.v1",
        id=conversation.id,
        user_id=conversation.user_id,
        title=conversation.title,
        metadata=conversation.metadata,
        created_at=conversation.created_at,
        messages=[_message(message) for message in messages],
    )


def exported_tree(
    conversation: Conversation, stored: Sequence[StoredMessage], path: Sequence[StoredMessage]
) -> ConversationExport:
    """Return a conversation with all branches as a document; `path` is the current one."""
    above, before, messages = parents(stored), ROOT, list[ExportedMessage]()
    for message in _written(stored):
        parent = above[message.id]
        shown = _message(message)
        messages.append(shown if parent == before else replace(shown, parent_id=parent or None))
        before = message.id
    head = path[-1].id if path and path[-1].id != before else msgspec.UNSET
    return replace(exported(conversation, ()), messages=messages, head=head)


def _written(messages: Sequence[StoredMessage]) -> Sequence[StoredMessage]:
    return [message for message in messages if message.status != "pending"]


def _message(message: StoredMessage) -> ExportedMessage:
    status = message.status
    return ExportedMessage(
        id=message.id,
        role=message.role,
        content=message.content,
        created_at=message.created_at,
        status="interrupted" if status == "pending" else status,
        run=message.run,
        provider=message.provider,
        model=message.model,
        upstream_model=message.upstream_model,
        finish_reason=message.finish_reason,
        error_code=message.error_code,
        tool_calls=message.tool_calls,
        reasoning=message.reasoning,
        thoughts=message.thoughts,
        usage=message.usage,
        latency_ms=message.latency_ms,
        context=message.context,
        citations=message.citations,
        retrieval=message.retrieval,
        agents=message.agents,
        item=msgspec.json.decode(message.item) if message.item else None,
        output=output_of(message),
    )


def _file(content: bytes, name: str, media_type: str) -> Response:
    """Return a file; its name has nothing that a client chooses."""
    headers = {"cache-control": "no-store", "content-disposition": f'attachment; filename="{name}"'}
    return Response(content, headers=headers, media_type=media_type)
