"""Fields of a `ChatRequest` that are JSON in the terms of chat completions, typed for vendors that translate them."""

from typing import Any, Literal

import msgspec


class Function(msgspec.Struct):
    """A function that the model may call."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] = {}
    strict: bool | None = None


class Tool(msgspec.Struct):
    """A tool of `tools`."""

    function: Function


class Named(msgspec.Struct):
    """The name of a function."""

    name: str


class Chosen(msgspec.Struct):
    """A function that `tool_choice` names."""

    function: Named


class Schema(msgspec.Struct, rename={"definition": "schema"}):
    """A JSON schema."""

    definition: dict[str, Any]
    name: str | None = None
    description: str | None = None


class Format(msgspec.Struct):
    """The form of the answer, `response_format`."""

    type: Literal["text", "json_schema"]
    json_schema: Schema | None = None


class Effort(msgspec.Struct):
    """How much the model is to reason, `reasoning_effort`, where the vendor takes these words."""

    effort: Literal["low", "medium", "high", "xhigh", "max"]
