"""The JSON of our own dialect: conversations, messages, usage and errors, as clients get them.

Token counts carry the names of both vendors (`input_tokens` and `prompt_tokens`); an unknown price is `null`, never 0.
"""

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from chatfleet_api.chat.attachments import ShownAttachment, attachments_of
from chatfleet_api.chat.decisions import waiting_calls
from chatfleet_api.domain.errors import Code
from chatfleet_api.domain.events import AgentUsage, Citation, RequiresAction, Retrieval, ServerToolCall, Usage
from chatfleet_api.domain.request import AnyToolCall
from chatfleet_api.sessions.store import Conversation, MessageStatus, StoredMessage
from chatfleet_api.sessions.tree import current_head, current_path, parents


class UsageBody(msgspec.Struct, frozen=True):
    """Tokens of one answer; `estimated` when the provider's own numbers never came."""

    input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    estimated: bool


class AgentBody(msgspec.Struct, frozen=True):
    """What one agent has used for its part of an answer."""

    name: str
    usage: UsageBody
    cost_usd: str | None


class ConversationBody(msgspec.Struct, frozen=True):
    """A conversation. Times are RFC 3339 in UTC."""

    id: str
    user_id: str | None
    title: str | None
    metadata: dict[str, Any]
    created_at: str
    updated_at: str


class WaitingCall(msgspec.Struct, frozen=True):
    """A call that waits for approval; `arguments` is JSON."""

    approval_request_id: str
    server: str
    tool: str
    arguments: str


class RequiredAction(msgspec.Struct, frozen=True, tag_field="type", tag="requires_action"):
    """The calls that an answer has paused for: `POST …/approvals` decides about them."""

    calls: tuple[WaitingCall, ...]


class MessageBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """A message of a conversation; `parent_id` is the message that it follows, `null` for a first one.

    `citations` are the chunks of documents that the model was given for it, and `retrieval` is `by_words` when these
    were not looked for by meaning, `unavailable` when the answer is without documents. `attachments` are its images
    and files, `requires_action` the calls that it has paused for, as long as they are not decided.
    """

    id: str
    conversation_id: str
    parent_id: str | None
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str
    status: MessageStatus
    created_at: str
    run: str | None
    provider: str | None
    model: str | None
    finish_reason: str | None
    error_code: Code | None
    tool_calls: list[AnyToolCall] | None
    reasoning: str | None
    latency_ms: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    usage: UsageBody | None
    cost_usd: str | None
    citations: tuple[Citation, ...] = ()
    retrieval: Retrieval = ""
    agents: tuple[AgentBody, ...] = ()
    attachments: tuple[ShownAttachment, ...] = ()
    requires_action: tuple[WaitingCall, ...] = ()


class ConversationWithMessages(ConversationBody, frozen=True):
    """A conversation with the messages of its current path, or of all branches, oldest first.

    `head` is the message that the current path ends with.
    """

    head: str | None
    messages: list[MessageBody]


class ConversationList(msgspec.Struct, frozen=True):
    """Conversations, newest change first; `next_cursor` continues the listing and is `null` at its end."""

    conversations: list[ConversationBody]
    next_cursor: str | None


class MessageList(msgspec.Struct, frozen=True):
    """The messages of the current path of a conversation, or of all branches, oldest first."""

    conversation_id: str
    head: str | None
    messages: list[MessageBody]


class MessageReply(msgspec.Struct, frozen=True):
    """The answer to a message that was sent without streaming."""

    conversation_id: str
    message: MessageBody
    usage: UsageBody | None
    cost_usd: str | None


class CancelBody(msgspec.Struct, frozen=True):
    """What was cancelled: the run that is being stopped, `null` when no answer was being written."""

    conversation_id: str
    run: str | None


class ErrorBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a request failed, and what to do about it; `param` is the offending field, where there is one."""

    code: Code
    message: str
    suggested_action: str
    retryable: bool
    request_id: str
    param: str | None = None


def usage_body(usage: Usage) -> UsageBody:
    """Return token counts under the names of both vendors."""
    total = usage.input_tokens + usage.output_tokens
    return UsageBody(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        prompt_tokens=usage.input_tokens,
        completion_tokens=usage.output_tokens,
        total_tokens=total,
        estimated=usage.estimated,
    )


def cost_usd(usage: Usage | None) -> str | None:
    """Return the price of an answer, in decimal digits; None when it is not known."""
    return None if usage is None or usage.cost_usd is None else f"{usage.cost_usd:f}"


def agent_bodies(agents: tuple[AgentUsage, ...]) -> tuple[AgentBody, ...]:
    """Return what each agent has used as clients see it."""
    return tuple(AgentBody(each.name, usage_body(each.usage), cost_usd(each.usage)) for each in agents)


def conversation_body(conversation: Conversation) -> ConversationBody:
    """Return a conversation as clients see it."""
    return msgspec.convert(conversation, ConversationBody, from_attributes=True)


def conversation_with_messages(
    conversation: Conversation, messages: tuple[StoredMessage, ...], *, branches: bool = False
) -> ConversationWithMessages:
    """Return a conversation as clients see it, with the messages of its current path or of all branches."""
    shown = msgspec.structs.asdict(conversation_body(conversation))
    listed = message_list(conversation, messages, branches=branches)
    return ConversationWithMessages(**shown, head=listed.head, messages=listed.messages)


def message_list(conversation: Conversation, messages: tuple[StoredMessage, ...], *, branches: bool) -> MessageList:
    """Return the messages of a conversation as clients see them: of its current path, or of all branches."""
    shown = messages if branches else current_path(conversation, messages)
    above = parents(messages)
    listed = [message_body(conversation.id, message, above[message.id]) for message in shown]
    return MessageList(conversation.id, current_head(conversation, messages) or None, listed)


def message_body(conversation: str, message: StoredMessage, parent: str) -> MessageBody:
    """Return a message as clients see it."""
    usage = None if message.usage is None else usage_body(message.usage)
    return MessageBody(
        id=message.id,
        conversation_id=conversation,
        parent_id=parent or None,
        role=message.role,
        content=message.content,
        status=message.status,
        created_at=message.created_at,
        run=message.run,
        provider=message.provider,
        model=message.model,
        finish_reason=message.finish_reason,
        error_code=message.error_code,
        tool_calls=message.tool_calls,
        reasoning=message.reasoning,
        latency_ms=message.latency_ms,
        prompt_tokens=None if usage is None else usage.prompt_tokens,
        completion_tokens=None if usage is None else usage.completion_tokens,
        total_tokens=None if usage is None else usage.total_tokens,
        usage=usage,
        cost_usd=cost_usd(message.usage),
        citations=message.citations,
        retrieval=message.retrieval,
        agents=agent_bodies(message.agents),
        attachments=attachments_of(message),
        requires_action=_waiting(waiting_calls(message)),
    )


def requires_action(event: RequiresAction) -> RequiredAction:
    """Return the calls that wait as clients see them."""
    return RequiredAction(_waiting(event.waiting))


def _waiting(calls: Iterable[ServerToolCall]) -> tuple[WaitingCall, ...]:
    return tuple(WaitingCall(call.approval, call.server, call.tool, call.arguments) for call in calls)
