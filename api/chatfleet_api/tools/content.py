"""A result of a tool as text for a model, bounded in size. Pure."""

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mcp_types import CallToolResult

MAX_CHARACTERS: Final = 32_768
"""Of one result: some 8,000 tokens."""


def text_of(result: "CallToolResult") -> str:
    """Return the texts of `result`, else its structured content; what is no text is named."""
    texts = list(_texts(result.content))
    if not texts and result.structured_content is not None:
        texts = [json.dumps(result.structured_content, ensure_ascii=False)]
    return bounded("\n".join(texts))


def bounded(text: str) -> str:
    """Return `text`, or its beginning with the number of characters that it had."""
    if len(text) <= MAX_CHARACTERS:
        return text
    return f"{text[:MAX_CHARACTERS]}\n[The result has {len(text)} characters; the rest was left out.]"


def _texts(content: Sequence[Any]) -> Iterable[str]:
    for part in content:
        match part.type:
            case "text":
                yield part.text
            case "resource" if isinstance(getattr(part.resource, "text", None), str):
                yield part.resource.text
            case "resource_link":
                yield f"[{part.name}]({part.uri})"
            case kind:
                yield f"[The tool returned a part of type {kind}, which is no text.]"
