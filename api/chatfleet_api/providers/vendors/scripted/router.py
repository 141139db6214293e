"""How a script chooses among agents: the one whose description has most of the words of the question. Pure."""

import re
from collections.abc import Mapping
from typing import Any, Final

from chatfleet_api.domain.request import ChatRequest

_WORD: Final = re.compile(r"\w{4,}")
_DESCRIBED: Final = re.compile(r"^- ([a-z0-9-]+): (.+)$", re.MULTILINE)
_LAST: Final = re.compile(r"^The agent that has answered last: (.+)$", re.MULTILINE)


def route(request: ChatRequest, instructions: str, conversation: str) -> Mapping[str, str] | None:
    """Return the agent that a routing request is after, the last one for the rest; None: the request is none."""
    agents = _agents(request.response_format or {})
    if not agents:
        return None
    question = _words(conversation.rpartition("user: ")[2])
    described = dict(_DESCRIBED.findall(instructions))
    *members, rest = agents
    shared = {name: len(question & _words(described.get(name, ""))) for name in members}
    best = max(members, key=lambda name: shared[name], default=rest)
    if shared.get(best):
        return {"agent": best, "reason": f"Its description has {shared[best]} of the words of the message."}
    last = _LAST.search(conversation)
    if last and last[1] in agents:
        return {"agent": last[1], "reason": "The topic is the same."}
    return {"agent": rest, "reason": "No description has a word of the message."}


def _agents(response_format: Mapping[str, Any]) -> list[str]:
    schema = (response_format.get("json_schema") or {}).get("schema") or {}
    agent = (schema.get("properties") or {}).get("agent") if isinstance(schema, Mapping) else None
    names = agent.get("enum") if isinstance(agent, Mapping) else None
    return [str(name) for name in names] if isinstance(names, list) else []


def _words(text: str) -> frozenset[str]:
    return frozenset(word.casefold() for word in _WORD.findall(text))
