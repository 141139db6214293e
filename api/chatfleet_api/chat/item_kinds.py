"""The items of the OpenAI dialect that models of all vendors have in their own terms, and parts of their contents."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

import msgspec

MESSAGE: Final = "message"


class InputText(msgspec.Struct, frozen=True, tag_field="type", tag="input_text"):
    """Text within a message of the input."""

    text: str


class OutputText(msgspec.Struct, frozen=True, tag_field="type", tag="output_text"):
    """Text that an earlier answer gave."""

    text: str


class Refusal(msgspec.Struct, frozen=True, tag_field="type", tag="refusal"):
    """Text of an earlier answer that refused."""

    refusal: str


class InputImage(msgspec.Struct, frozen=True, tag_field="type", tag="input_image"):
    """An image by URL or data URL."""

    image_url: str | None = None
    detail: Literal["auto", "low", "high", "original"] | None = None
    file_id: str | None = None


class InputFile(msgspec.Struct, frozen=True, tag_field="type", tag="input_file"):
    """A PDF as a data URL; other files only upstreams of the dialect can get."""

    file_data: str
    filename: str = "document.pdf"


Part: TypeAlias = InputText | OutputText | Refusal | InputImage | InputFile
PARTS: Final = frozenset({"input_text", "output_text", "refusal", "input_image"})
PDF_URL: Final = "data:application/pdf;base64,"


class InputMessage(msgspec.Struct, frozen=True):
    """One message of the input, also one that an earlier answer gave back."""

    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[Part]
    type: Literal["message"] | None = None
    id: str | None = None
    status: str | None = None
    phase: str | None = None


class _Call(msgspec.Struct, frozen=True):
    call_id: str
    name: str
    type: str
    id: str | None = None
    status: str | None = None


class FunctionCall(_Call, frozen=True, kw_only=True):
    """A call of a function that an earlier answer made."""

    arguments: str


class CustomCall(_Call, frozen=True, kw_only=True):
    """A call of a custom tool that an earlier answer made."""

    input: str


class CallOutput(msgspec.Struct, frozen=True):
    """The result of a call."""

    call_id: str
    output: str | list[Part]
    type: str
    id: str | None = None
    status: str | None = None


class ReasoningItem(msgspec.Struct, frozen=True):
    """The reasoning of an earlier answer."""

    type: str
    id: str | None = None
    summary: list[dict[str, Any]] | None = None
    content: list[dict[str, Any]] | None = None
    encrypted_content: str | None = None
    status: str | None = None


Known: TypeAlias = InputMessage | FunctionCall | CustomCall | CallOutput | ReasoningItem

KINDS: Final[Mapping[str, type[Known]]] = MappingProxyType(
    {
        MESSAGE: InputMessage,
        "function_call": FunctionCall,
        "custom_tool_call": CustomCall,
        "function_call_output": CallOutput,
        "custom_tool_call_output": CallOutput,
        "reasoning": ReasoningItem,
    }
)
"""The items that models of all vendors have, in their own terms."""
