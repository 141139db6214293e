"""Tools and the choice among them, from the terms of chat completions to those of the Responses API. Pure."""

from typing import Any, Final, TypeAlias

Object: TypeAlias = dict[str, Any]

_ANY: Final[Object] = {"type": "object", "properties": {}}


def tool(given: Object) -> Object:
    """Return a tool: its definition stands beside its type. A function is strict only if `strict` is set."""
    kind = given.get("type")
    if kind == "function":
        return {"type": kind, "parameters": _ANY, "strict": False} | _set(given[kind])
    if kind == "custom" and isinstance(custom := given.get(kind), dict):
        form = custom.get("format")
        grammar = form.get("grammar") if isinstance(form, dict) else None
        flat = {"format": {"type": "grammar", **grammar}} if isinstance(grammar, dict) else {}
        return {"type": kind} | _set(custom) | flat
    return given


def choice(given: str | Object) -> str | Object:
    """Return the choice, in which the tool's name stands beside its type."""
    if isinstance(given, str):
        return given
    kind = given.get("type")
    if kind == "allowed_tools" and isinstance(allowed := given.get(kind), dict):
        return {"type": kind, **allowed, "tools": [choice(each) for each in allowed.get("tools", ())]}
    named = given.get(kind) if isinstance(kind, str) else None
    return {"type": kind, "name": named.get("name")} if isinstance(named, dict) else given


def text_format(given: Object) -> Object:
    """Return the format of the text, in which the schema stands beside its type."""
    if given.get("type") != "json_schema":
        return given
    return {"type": "json_schema"} | _set(given["json_schema"])


def _set(fields: Object) -> Object:
    return {name: value for name, value in fields.items() if value is not None}
