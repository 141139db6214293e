"""Tools of a response: functions and custom tools, in the terms of chat completions, and the choice among them.

Every other tool is one that only an upstream of the dialect has.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from chatfleet_api.domain.request import CHAT, RESPONSES, Untranslated
from chatfleet_api.web.body import convert_body, limit_depth

Fields: TypeAlias = dict[str, Any]
_Name: TypeAlias = Annotated[str, msgspec.Meta(pattern="^[a-zA-Z0-9_-]{1,64}$")]


class FunctionTool(msgspec.Struct, frozen=True, omit_defaults=True):
    """A function that the model may call."""

    name: _Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class PlainText(msgspec.Struct, frozen=True, tag_field="type", tag="text"):
    """The input of a custom tool is any text."""


class Grammar(msgspec.Struct, frozen=True, tag_field="type", tag="grammar"):
    """The input of a custom tool follows a grammar."""

    syntax: Literal["lark", "regex"]
    definition: str


class CustomTool(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tool that takes free text."""

    name: _Name
    description: str | None = None
    format: PlainText | Grammar | None = None


class _Named(msgspec.Struct, frozen=True):
    name: _Name


class _Allowed(msgspec.Struct, frozen=True):
    mode: Literal["auto", "required"]
    tools: Annotated[list[dict[str, Any]], msgspec.Meta(max_length=128)]


class Tools(NamedTuple):
    """The tools of a request, as a `ChatRequest` has them."""

    tools: tuple[Fields, ...] = ()
    choice: str | Fields | None = None
    untranslated: tuple[Untranslated, ...] = ()


_SHOWN: Final = 200
_KINDS: Final[Mapping[str, type[FunctionTool | CustomTool]]] = MappingProxyType(
    {"function": FunctionTool, "custom": CustomTool}
)
_WORDS: Final = frozenset({"none", "auto", "required"})
_FUNCTIONS: Final = "Use tools of type 'function'."


def read_tools(tools: Sequence[Fields] | None, choice: str | Fields | None) -> Tools:
    """Return the tools and the choice; raises `ChatError(INVALID_REQUEST)`, with the field, for one in a wrong form."""
    foreign: list[Untranslated] = []
    read = [_tool(tool, f"tools[{position}]", foreign) for position, tool in enumerate(tools or ())]
    known = tuple(tool for tool in read if tool is not None)
    return Tools(known, _choice(choice, foreign), tuple(foreign))


def shown_tools(tools: Sequence[Fields] | None) -> list[Fields]:
    """Return the tools as the response shows them: as they came, with what the vendor's type requires."""
    defaults = {"function": {"description": None, "parameters": None, "strict": None}}
    return [{**defaults.get(str(tool.get("type")), {}), **tool} for tool in tools or ()]


def _tool(tool: Fields, where: str, foreign: list[Untranslated]) -> Fields | None:
    """Return a tool in the terms of chat completions; name what these do not have."""
    limit_depth(tool, where)
    kind = str(tool.get("type"))
    known = _KINDS.get(kind)
    if known is None:
        foreign.append(_untranslated(where, f"'{where}' is a tool of type '{kind}'", _FUNCTIONS))
        return None
    read = convert_body(tool, known, where)
    for name, value in tool.items():
        if value is not None and name != "type" and name not in known.__struct_fields__:
            foreign.append(_untranslated(f"{where}.{name}", f"'{where}.{name}'", "Remove it."))
    if isinstance(read, FunctionTool):
        return {"type": "function", "function": msgspec.to_builtins(read)}
    foreign.append(_untranslated(where, f"'{where}' is a tool of type 'custom'", _FUNCTIONS, has_counterpart=True))
    fields: Fields = msgspec.to_builtins(read)
    if isinstance(read.format, Grammar):
        grammar = {"syntax": read.format.syntax, "definition": read.format.definition}
        fields["format"] = {"type": "grammar", "grammar": grammar}
    return {"type": "custom", "custom": fields}


def _choice(choice: str | Fields | None, foreign: list[Untranslated]) -> str | Fields | None:
    """Return the choice in the terms of chat completions."""
    where = "tool_choice"
    if choice is None or (isinstance(choice, str) and choice in _WORDS):
        return choice
    kind = choice if isinstance(choice, str) else str(choice.get("type"))
    if isinstance(choice, dict) and kind in _KINDS:
        if kind == "custom":
            foreign.append(_untranslated(where, f"'{where}' of type 'custom'", _FUNCTIONS, has_counterpart=True))
        return _by_name(choice, kind, where)
    if isinstance(choice, dict) and kind == "allowed_tools":
        allowed = convert_body(choice, _Allowed, where)
        tools = [_allowed(tool, f"{where}.tools[{at}]", foreign) for at, tool in enumerate(allowed.tools)]
        return {"type": kind, kind: {"mode": allowed.mode, "tools": [tool for tool in tools if tool]}}
    foreign.append(_untranslated(where, f"'{where}' of type '{kind}'", "Choose a function, or omit it."))
    return None


def _allowed(tool: Fields, where: str, foreign: list[Untranslated]) -> Fields | None:
    kind = str(tool.get("type"))
    if kind in _KINDS:
        return _by_name(tool, kind, where)
    foreign.append(_untranslated(where, f"'{where}' of type '{kind}'", _FUNCTIONS))
    return None


def _by_name(tool: Fields, kind: str, where: str) -> Fields:
    return {"type": kind, kind: {"name": convert_body(tool, _Named, where).name}}


def _untranslated(param: str, what: str, remedy: str, *, has_counterpart: bool = False) -> Untranslated:
    message = f"Unsupported value: {what[:_SHOWN]}, which the model's provider does not have. {remedy}"
    return Untranslated(param[:_SHOWN], message, (CHAT, RESPONSES) if has_counterpart else ())
