"""Which agent answers, and why: by rule, or by the answer of the supervisor's model. Pure."""

import json
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from chatfleet_api.domain.request import Message
from chatfleet_contract.runtime import RuntimeMember
from chatfleet_contract.spec.agents import SUPERVISOR

MAX_REASON_CHARS: Final = 300
REQUESTED: Final = "The request names this agent."


class Choice(NamedTuple):
    """The agent that answers."""

    name: str
    reason: str


def text_of(message: Message) -> str:
    """Return the text of a message, without its images."""
    parts = message.content or ""
    return parts if isinstance(parts, str) else " ".join(getattr(part, "text", "") for part in parts)


def question_of(messages: Sequence[Message]) -> str:
    """Return the last message of the user; empty: there is none."""
    return next((text_of(message) for message in reversed(messages) if message.role == "user"), "")


def by_rule(members: Sequence[RuntimeMember], question: str) -> Choice | None:
    """Return the first member that has a rule with words of the question; None: there is none."""
    asked = question.casefold()
    for member in members:
        for words in member.route.when_contains if member.route else ():
            if words.casefold() in asked:
                return Choice(member.name, f"The message contains {words!r}.")
    return None


def by_answer(text: str, members: Collection[str]) -> Choice | None:
    """Return what the model of the supervisor has chosen; None: its answer names no agent.

    A model that wraps its JSON in other text is understood as well.
    """
    begins, ends = text.find("{"), text.rfind("}")
    try:
        chosen = json.loads(text[begins : ends + 1]) if begins >= 0 else {}
    except ValueError:
        return None
    name = chosen.get("agent") if isinstance(chosen, dict) else None
    if not isinstance(name, str) or name not in {*members, SUPERVISOR}:
        return None
    reason = str(chosen.get("reason") or "").strip()[:MAX_REASON_CHARS]
    return Choice(name, reason or "The model of the supervisor has chosen this agent.")


def without_answer(last: str, members: Collection[str], cause: str) -> Choice:
    """Return who answers when no choice was made: who has answered last, else the supervisor."""
    if last in members:
        return Choice(last, f"{cause} This member has answered last.")
    return Choice(SUPERVISOR, f"{cause} The supervisor answers itself.")
