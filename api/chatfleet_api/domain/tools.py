"""Tools that the pods call themselves: those of `spec.toolServers`. Pure."""

import json
import re
from typing import Any, Final, Literal, NamedTuple, TypeAlias

MAX_NAME: Final = 64
"""Of a tool, at the vendors."""
_FOREIGN: Final = re.compile(r"[^A-Za-z0-9_-]")


ToolOutcome: TypeAlias = Literal["ok", "error", "invalid", "timeout", "unavailable"]
"""What became of a call: `error` is the tool's own word, `invalid` was not made, `unavailable` may have been."""


class ToolUse(NamedTuple):
    """Which tools a model may use."""

    servers: tuple[str, ...]
    max_steps: int
    """Most requests to the model for one answer."""


class ServerTool(NamedTuple):
    """A tool of a tool server."""

    name: str
    """By which a model calls it."""
    server: str
    tool: str
    """Its name on the server."""
    description: str
    schema: dict[str, Any]
    """JSON Schema of its arguments."""
    repeatable: bool = False
    """Whether a call may be made again although it may have been made: as its hints declare."""
    needs_approval: bool = False
    """Whether a person has to approve each call."""


def name_for_models(server: str, tool: str) -> str:
    """Return the name by which models call a tool: vendors take letters, digits, dashes and underscores."""
    return _FOREIGN.sub("_", f"{server}__{tool}")[:MAX_NAME]


def arguments_of(text: str) -> dict[str, Any] | None:
    """Return the arguments of a call; None: they are no JSON object."""
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
