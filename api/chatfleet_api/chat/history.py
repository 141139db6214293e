"""What a conversation's messages mean for its next turn: the model's context, and whether an answer is in progress."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from chatfleet_api.chat.items import joined, understood
from chatfleet_api.chat.relayed import items_before
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Thought
from chatfleet_api.domain.request import RESPONSES, Affinity, ChatRequest, Message, Routing, Untranslated
from chatfleet_api.runs.log.interface import RunState
from chatfleet_api.sessions.store import StoredMessage
from chatfleet_contract.spec.agents import AGENT, MEMBER_PREFIX

BEFORE: Final = "conversation"
"""Stands for the field of an item that the request does not bring itself."""
_item: Final = msgspec.json.Decoder(dict[str, Any]).decode

CACHED_SECONDS = 3600.0
"""Age up to which an answer's prompt may be in its provider's cache: the longest that most keep one without a fee."""
UNSEEN_SECONDS = 5.0
"""Age up to which a run that the log does not know may simply not have been written there yet."""


class Context(NamedTuple):
    """What a model gets of the messages before."""

    messages: tuple[Message, ...]
    untranslated: tuple[Untranslated, ...] = ()
    """What of it only upstreams of the OpenAI Responses API can get."""


def context(history: Sequence[StoredMessage]) -> Context:
    """Return the messages for a model: all that the user has seen.

    A partial answer (failed, cancelled, interrupted) counts when it has text; its calls of tools, a part of which may
    be missing, do not. A pending one has neither.
    """
    messages: list[Message] = []
    untranslated: list[Untranslated] = []
    for message in history:
        if message.item:
            understood_message, foreign = understood(_item(message.item), BEFORE)
            untranslated += foreign
            if understood_message is not None:
                messages.append(understood_message)
        elif message.role != "assistant":
            messages.append(Message(message.role, message.content))
        elif message.status != "pending" and (answer := _answer(message)):
            messages.append(answer)
    return Context(tuple(messages), tuple(untranslated))


def continued(
    history: Sequence[StoredMessage], request: ChatRequest, instructions: Sequence[Message] = ()
) -> ChatRequest:
    """Return `request` with `instructions` and the messages before in front of its own."""
    before = context(history)
    messages = joined((*instructions, *before.messages, *request.messages))
    sent = request.sent
    if before.untranslated and sent is None:
        first = before.untranslated[0]
        raise ChatError(Code.INVALID_REQUEST, first.message, param=first.param)
    if sent is not None and sent.dialect == RESPONSES:
        untranslated = (*sent.untranslated, *before.untranslated)
        sent = replace(sent, untranslated=untranslated, before=items_before(history))
    return replace(request, messages=messages, sent=sent)


def affinity(conversation: str, history: Sequence[StoredMessage], now: datetime) -> Affinity:
    """Return where the prompt of the next turn may be in a cache: where the newest answer came from, if it is young."""
    answer = next((message for message in reversed(history) if message.provider), None)
    if answer is None or age(answer, now) > CACHED_SECONDS:
        return Affinity(conversation)
    return Affinity(conversation, answer.provider, answer.upstream_model)


def placed(request: ChatRequest, conversation: str, history: Sequence[StoredMessage], now: datetime) -> ChatRequest:
    """Return `request` with what is known by the conversation of its upstream, and of the agent that may answer."""
    routing = Routing(last_agent(history)) if request.model == AGENT else None
    return replace(request, affinity=affinity(conversation, history, now), routing=routing)


def last_agent(history: Sequence[StoredMessage]) -> str:
    """Return the agent that gave the newest answer; empty: no agent did."""
    answer = next((message for message in reversed(history) if message.role == "assistant"), None)
    model = "" if answer is None else answer.model or ""
    return model.removeprefix(MEMBER_PREFIX) if model.startswith(MEMBER_PREFIX) else ""


def _answer(message: StoredMessage) -> Message | None:
    calls = message.tool_calls if message.status == "complete" else None
    if not message.content and not calls:
        return None
    thoughts = message.thoughts or ([Thought(message.reasoning)] if message.reasoning else None)
    return Message("assistant", message.content or None, tool_calls=calls or None, thoughts=thoughts)


def pending(history: Sequence[StoredMessage]) -> StoredMessage | None:
    """Return the answer that is being written, as far as the store knows."""
    return next((message for message in reversed(history) if message.status == "pending"), None)


def may_be_alive(state: RunState, age: float, *, run_seconds: float) -> bool:
    """Return whether a run that another pod began `age` seconds ago may still write its answer.

    It may while the log has no end of it, but not for longer than a run may take: then its pod died with it. A run that
    is not in the log counts as alive for a moment only, because its first events may be on their way.
    """
    return (state == "open" and age < run_seconds) or (state == "unknown" and age < UNSEEN_SECONDS)


def age(message: StoredMessage, now: datetime) -> float:
    """Return the seconds since a message was made."""
    return (now - datetime.fromisoformat(message.created_at)).total_seconds()


def stamp(now: datetime) -> str:
    """Return a time as stored messages carry it."""
    return now.isoformat(timespec="milliseconds")
