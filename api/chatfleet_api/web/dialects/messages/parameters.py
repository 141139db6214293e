"""The parameters of a message in the terms that all vendors have in common, and those without a counterpart."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from chatfleet_api.web.dialects.messages.blocks import Beyond, Block
from chatfleet_api.web.dialects.messages.body import CountTokensBody, MessagesBody, ToolChoice

_TOOL: Final = frozenset(
    {
        *("type", "name", "description", "input_schema", "strict"),
        *("cache_control", "defer_loading", "eager_input_streaming"),
    }
)
_LOW_BUDGET: Final = 4_096
_MEDIUM_BUDGET: Final = 16_384
"""Tokens of thinking up to which an effort is low or medium."""


class Parameters:
    """Translates the parameters of one request."""

    def __init__(self, beyond: Beyond) -> None:
        self._beyond = beyond

    def tools(self, tools: Sequence[Block] | None) -> Iterator[Block]:
        """Yield the tools that are functions; those whose loading may be deferred are offered from the start."""
        for index, tool in enumerate(tools or ()):
            where = f"tools[{index}]"
            if tool.get("type") not in (None, "custom"):
                self._beyond.add(where, "Use tools with an input_schema.")
                continue
            if tool.get("allowed_callers") not in (None, ["direct"]):
                self._beyond.add(f"{where}.allowed_callers")
            for name, value in tool.items():
                if name not in _TOOL and name != "allowed_callers" and value:
                    self._beyond.add(f"{where}.{name}")
            function = {"name": tool.get("name"), "parameters": tool.get("input_schema") or {"type": "object"}}
            more = {name: tool[name] for name in ("description", "strict") if tool.get(name) is not None}
            yield {"type": "function", "function": function | more}

    def choice(self, choice: ToolChoice | None) -> str | Block | None:
        """Return which tools the model may use."""
        if choice is None:
            return None
        if choice.type == "tool":
            return {"type": "function", "function": {"name": choice.name}}
        named = {"auto": "auto", "any": "required", "none": "none"}.get(choice.type)
        if named is None:
            self._beyond.add("tool_choice.type", "Use auto, any, tool or none.")
        return named

    def effort(self, body: CountTokensBody) -> str | None:
        """Return how much the model is to think."""
        if body.output_config and body.output_config.effort:
            return body.output_config.effort
        thinking = body.thinking
        if thinking is None or thinking.type == "adaptive":
            return None
        if thinking.type == "disabled":
            return "none"
        if thinking.type != "enabled":
            self._beyond.add("thinking.type", "Use adaptive, enabled or disabled.")
        budget = thinking.budget_tokens or 0
        return "low" if budget <= _LOW_BUDGET else "medium" if budget <= _MEDIUM_BUDGET else "high"

    def format(self, body: CountTokensBody) -> Block | None:
        """Return the format of the answer."""
        if body.output_config and body.output_config.task_budget is not None:
            self._beyond.add("output_config.task_budget")
        wanted = body.output_config.format if body.output_config else None
        if wanted is None:
            return None
        if wanted.get("type") != "json_schema":
            self._beyond.add("output_config.format", "Use json_schema.")
            return None
        return {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": wanted.get("schema"), "strict": True},
        }

    def others(self, body: MessagesBody, sent: Iterable[tuple[str, msgspec.Raw]]) -> None:
        """Note the fields that only Anthropic has; empty ones change nothing."""
        if body.top_k is not None:
            self._beyond.add("top_k")
        if body.speed not in (None, "standard"):
            self._beyond.add("speed")
        if body.service_tier not in (None, "auto", "standard_only"):
            self._beyond.add("service_tier")
        if not _clears_thinking_alone(body.context_management):
            self._beyond.add("context_management", "Use edits of type clear_thinking_20251015.")
        for name, value in sent:
            if name not in _COMMON and bytes(value).strip() not in (b"null", b"[]", b"{}"):
                self._beyond.add(name)


_COMMON: Final = frozenset(
    {
        *CountTokensBody.__struct_fields__,
        *("max_tokens", "stream", "stop_sequences", "temperature", "top_p", "top_k", "metadata"),
        *("service_tier", "speed", "context_management"),
    }
)


def _clears_thinking_alone(management: object) -> bool:
    """Return whether all edits of the context concern earlier thinking, which no other vendor gets anyway."""
    if not management:
        return True
    edits = management.get("edits") if isinstance(management, dict) and len(management) == 1 else None
    return isinstance(edits, list) and all(
        isinstance(edit, dict) and str(edit.get("type")).startswith("clear_thinking_") for edit in edits
    )
