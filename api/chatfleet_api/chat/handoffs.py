"""Hand-overs between agents: the functions by which models make them, and what the next agent reads of one. Pure."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from chatfleet_api.domain.events import Agent, Thought
from chatfleet_api.domain.request import Function, Message, MessageToolCall
from chatfleet_api.domain.tools import MAX_NAME, arguments_of

PREFIX: Final = "transfer_to_"
"""Of the functions, as agent frameworks name them. All that begin so are ours, but those that a client sends."""
MAX_REASON_CHARS: Final = 300
_DIGEST_CHARS: Final = 8
_REASON: Final = {"type": "string", "description": "Why the other agent fits better: one short sentence."}
_PARAMETERS: Final = {"type": "object", "properties": {"reason": _REASON}, "required": ["reason"]}


def function_name(agent: str) -> str:
    """Return the name of the function that hands a conversation over to `agent`, as long as vendors take it."""
    name = PREFIX + agent
    if len(name) <= MAX_NAME:
        return name
    digest = hashlib.blake2b(agent.encode()).hexdigest()[:_DIGEST_CHARS]
    return f"{name[: MAX_NAME - _DIGEST_CHARS - 1]}_{digest}"


def function_of(agent: str, description: str) -> dict[str, Any]:
    """Return the function as a tool of a request."""
    words = (
        f"Hand the conversation over to the agent {agent}, which answers in your place: {description}. "
        "It reads the whole conversation. Do not mention the hand-over to the user."
    )
    function = {"name": function_name(agent), "description": words, "parameters": _PARAMETERS}
    return {"type": "function", "function": function}


def names_of(tools: Iterable[dict[str, Any]]) -> frozenset[str]:
    """Return the names of the functions among the tools of a request."""
    functions = (tool.get("function") for tool in tools)
    return frozenset(str(each.get("name")) for each in functions if isinstance(each, dict))


def reason_of(arguments: str, before: str) -> str:
    """Return the reason that a call has; `before` is the agent that has made it."""
    reason = (arguments_of(arguments) or {}).get("reason")
    said = reason.strip()[:MAX_REASON_CHARS] if isinstance(reason, str) else ""
    return said or f"{before or 'The agent before'} has handed the conversation over."


def handed_over(text: str, to: Agent, step: int) -> tuple[Message, Message]:
    """Return what the next agent reads of a hand-over to it, which was step `step`; `text` came before it."""
    arguments = json.dumps({"reason": to.reason}, ensure_ascii=False)
    result = json.dumps({"assistant": to.name})
    return _called(text, to.thoughts, (function_name(to.name), arguments, result), step)


def refused(text: str, thoughts: Sequence[Thought], function: str, step: int) -> tuple[Message, Message]:
    """Return what the model reads of a hand-over that is not possible, or no more."""
    return _called(text, thoughts, (function, "{}", "No hand-over is possible here. Answer yourself."), step)


def _called(text: str, thoughts: Sequence[Thought], call: tuple[str, str, str], step: int) -> tuple[Message, Message]:
    function, arguments, result = call
    ident = f"call_{step}_handoff"
    made = MessageToolCall(ident, Function(function, arguments))
    said = Message("assistant", text or None, tool_calls=[made], thoughts=[*thoughts] or None)
    return said, Message("tool", result, tool_call_id=ident)
