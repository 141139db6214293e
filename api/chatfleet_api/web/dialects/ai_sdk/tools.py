"""Tool calls as parts of a UI message: the pieces of their input as they come, and the whole when they are complete."""

from dataclasses import dataclass

import msgspec

from chatfleet_api.domain.events import ToolCall
from chatfleet_api.web.sse import typed_frame as frame


@dataclass
class _Call:
    id: str
    name: str
    custom: bool
    arguments: str = ""


class ToolCalls:
    """The tool calls of one answer."""

    def __init__(self) -> None:
        self._calls: dict[int, _Call] = {}

    def add(self, piece: ToolCall) -> bytes:
        """Return the frames of a piece."""
        call = self._calls.get(piece.index)
        frames = b""
        if call is None:
            call = self._calls[piece.index] = _Call(piece.id or f"call-{piece.index}", piece.name or "", piece.custom)
            encoding = {"inputEncoding": "text"} if piece.custom else {}
            frames = frame("tool-input-start", toolCallId=call.id, toolName=call.name, **encoding)
        if piece.arguments:
            call.arguments += piece.arguments
            frames += frame("tool-input-delta", toolCallId=call.id, inputTextDelta=piece.arguments)
        return frames

    def end(self) -> bytes:
        """Return the frames of the whole inputs, when the answer is complete."""
        frames = b"".join(_whole(call) for call in self._calls.values())
        self._calls.clear()
        return frames


def _whole(call: _Call) -> bytes:
    if call.custom:
        return frame("tool-input-available", toolCallId=call.id, toolName=call.name, input=call.arguments)
    try:
        given = msgspec.json.decode(call.arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        why = "The input of the tool is not valid JSON."
        return frame("tool-input-error", toolCallId=call.id, toolName=call.name, input=call.arguments, errorText=why)
    return frame("tool-input-available", toolCallId=call.id, toolName=call.name, input=given)
