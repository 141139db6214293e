"""Decisions about calls that wait for approval, and what the answer that goes on from them gets. Pure.

A pause is no state of a pod: the answer has ended, and is stored with its calls. It is over when its conversation goes
on, by the decision or by another message.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from chatfleet_api.chat.history import Context, context
from chatfleet_api.chat.items import NewItem, is_of_our_tools, kind_of
from chatfleet_api.chat.reply import steps_of
from chatfleet_api.chat.tool_approval import refused_by
from chatfleet_api.chat.tool_progress import CallingStep, progress_of
from chatfleet_api.domain.errors import ChatError, Code, NotFoundError
from chatfleet_api.domain.events import Agent, Event, RequiresAction, ServerToolCall, ServerToolEvent, Token
from chatfleet_api.domain.request import DecidedStep, Message
from chatfleet_api.sessions.store import StoredMessage
from chatfleet_api.sessions.tree import path_to

RESPONSE: Final = "mcp_approval_response"


class Decision(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a person has decided about one call."""

    approval_request_id: str
    approve: bool
    reason: str | None = None

    def item(self) -> NewItem:
        """Return it as the item of the OpenAI dialect as which it is stored."""
        text = msgspec.json.encode({"type": RESPONSE, **msgspec.to_builtins(self)}).decode()
        return NewItem(None, text, role="tool")


_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


def decisions_of(items: Sequence[NewItem]) -> tuple[Decision, ...]:
    """Return the decisions about calls of ours among the items of a request, which are nothing else then.

    Raises `ChatError(INVALID_REQUEST)` for other items beside them, `msgspec.ValidationError` for another form.
    """
    found = [decision for item in items if (decision := _decision(item.item)) is not None]
    if found and len(found) < len(items):
        message = "Approvals are sent alone. Send the other items once the answer is complete."
        raise ChatError(Code.INVALID_REQUEST, message, param="input")
    return tuple(found)


def _decision(text: str) -> Decision | None:
    item = _decode(text) if RESPONSE in text else {}
    return msgspec.convert(item, Decision) if kind_of(item) == RESPONSE and is_of_our_tools(item) else None


def waiting_calls(message: StoredMessage) -> tuple[ServerToolCall, ...]:
    """Return the calls of an answer that wait for approval, as far as nothing is decided about them."""
    last = message.server_tools[-1].event if message.server_tools else None
    paused = message.status == "complete" and not message.decided
    return last.waiting if paused and isinstance(last, RequiresAction) else ()


def passed(messages: Sequence[StoredMessage]) -> tuple[StoredMessage, ...]:
    """Return messages as they are copied to another thread, where no call of theirs waits."""
    return tuple(replace(each, decided=each.run or each.id) if waiting_calls(each) else each for each in messages)


def paused_answer(messages: Sequence[StoredMessage], decisions: Sequence[Decision]) -> StoredMessage:
    """Return the answer that waits for `decisions`, or has waited for them; raise `unknown_approval` if none does.

    One that waits is the newest message: what has come later has ended the pause.
    """
    ids = {decision.approval_request_id for decision in decisions}
    for message in reversed(messages):
        last = message.server_tools[-1].event if message.server_tools else None
        if isinstance(last, RequiresAction) and ids & {call.approval for call in last.waiting}:
            if not message.decided and message.id != messages[-1].id:
                break
            if ids - {call.approval for call in last.waiting}:
                break
            return message
    raise unknown_approval()


def unknown_approval() -> ChatError:
    """Return the error for an id under which no call waits, or none of this caller's."""
    return NotFoundError(Code.NOT_FOUND, "No call waits for approval under this id, or no longer.")


def answer_after(
    stored: Sequence[StoredMessage], paused: StoredMessage, decisions: Sequence[Decision]
) -> StoredMessage:
    """Return the answer that went on from the same decisions; raise `ChatError(INVALID_REQUEST)` for others."""
    path = path_to(stored, paused.decided)
    at = next((number for number, message in enumerate(path) if message.id == paused.id), None)
    if at is None:
        raise unknown_approval()
    made = {found.approval_request_id: found.approve for each in path[at:] if (found := _decision(each.item))}
    if made != {each.approval_request_id: each.approve for each in decisions}:
        raise ChatError(Code.INVALID_REQUEST, "These calls were decided before, and otherwise. A decision is final.")
    return path[-1]


class Resumption(NamedTuple):
    """How an answer goes on that has paused."""

    answer: StoredMessage
    """The one that has paused."""
    before: int
    """Messages of the path before its turn."""
    messages: tuple[Message, ...]
    """Those of its turn: the questions, and its finished steps."""
    step: DecidedStep


def resumption_of(path: Sequence[StoredMessage], decisions: Sequence[Decision]) -> Resumption:
    """Return how the answer goes on that `path` ends with.

    Raises `ChatError(INVALID_REQUEST)` unless each call that waits is decided once.
    """
    first = len(path) - 1
    known = {message.id for message in path}
    while first and not (_is_answer(path[first - 1]) and path[first - 1].decided not in known):
        first -= 1
    questions = [message for message in path[first:] if not message.server_tools]
    asked: Context = context(questions)
    progress = progress_of([event for message in path[first:] for event in _events(message)])
    if progress.open is None:
        raise unknown_approval()
    step = replace(_decided(progress.open, decisions), handoffs=progress.handoffs, agent_since=progress.agent_since)
    return Resumption(path[-1], first, (*asked.messages, *progress.messages), step)


def _is_answer(message: StoredMessage) -> bool:
    return message.role == "assistant" and message.run is not None


def _events(message: StoredMessage) -> Sequence[Event]:
    steps = steps_of(message) if message.server_tools else ()
    return [event for event in steps if isinstance(event, Agent | Token | ServerToolEvent)]


def _decided(step: CallingStep, decisions: Sequence[Decision]) -> DecidedStep:
    known: Mapping[str, Decision] = {each.approval_request_id: each for each in decisions}
    waiting = [call for call in step.calls if call.approval]
    missing = next((call.approval for call in waiting if call.approval not in known), None)
    if missing is not None or len(decisions) > len(waiting):
        problem = f"'{missing}' is missing" if missing else "one of them is decided twice"
        message = f"All calls that wait are decided at once, each once: {problem}."
        raise ChatError(Code.INVALID_REQUEST, message)
    refused = [(call, known[call.approval]) for call in waiting if not known[call.approval].approve]
    refusals = tuple(refused_by(call, decision.reason or "") for call, decision in refused)
    return DecidedStep(tuple(step.calls), refusals, step.text)
