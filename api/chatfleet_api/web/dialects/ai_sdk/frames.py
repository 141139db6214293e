"""The frames of a UI message stream: one part of the message each, as the package `ai` writes it."""

from typing import Any, Final

from chatfleet_api.web.sse import json_text

DONE: Final = b"data: [DONE]\n\n"


def frame(kind: str, **fields: Any) -> bytes:  # noqa: ANN401  # JSON
    """Return the frame of a part."""
    return b"data: " + json_text({"type": kind, **fields}) + b"\n\n"
