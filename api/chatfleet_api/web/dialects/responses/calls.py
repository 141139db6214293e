"""Calls of tools as items of a response: of a client's functions and custom tools, and those that a pod makes."""

from collections.abc import Iterator
from io import StringIO
from typing import Any, TypeAlias

import msgspec

from chatfleet_api.chat.items import SERVER_TOOL_CALL
from chatfleet_api.domain.events import ServerToolCall, ServerToolResult, ToolCall
from chatfleet_api.web.dialects.responses.ids import CUSTOM_CALL, FUNCTION_CALL

Fields: TypeAlias = dict[str, Any]
Made: TypeAlias = Iterator[tuple[str, Fields]]
"""Types of events, and their fields but for type and number."""


class Call:
    """A call of a function, or of a custom tool."""

    def __init__(self, owner: str, index: int, number: int, first: ToolCall) -> None:
        self.text = StringIO()
        self.index = index
        self.status = "in_progress"
        self._is_custom = first.custom
        prefix, self._kind, self._input = (
            (CUSTOM_CALL, "custom_tool_call", "input")
            if first.custom
            else (FUNCTION_CALL, "function_call", "arguments")
        )
        self._call_id, self._name = first.id or "", first.name or ""
        self._id = f"{prefix}{owner}_{number}"
        self._place = {"item_id": self._id, "output_index": index}
        self._events = f"response.{self._kind}_{self._input}"

    @property
    def is_whole(self) -> bool:
        """Whether no more of it can come."""
        return self._is_custom or _is_json(self.text.getvalue())

    def shown(self) -> Fields:
        fields = {"id": self._id, "type": self._kind, "status": self.status, "call_id": self._call_id}
        return {**fields, "name": self._name, self._input: self.text.getvalue()}

    def begin(self) -> Made:
        yield "response.output_item.added", {"output_index": self.index, "item": {**self.shown(), self._input: ""}}

    def delta(self, text: str) -> tuple[str, Fields]:
        return f"{self._events}.delta", {**self._place, "delta": text}

    def end(self) -> Made:
        name = {} if self._is_custom else {"name": self._name}
        yield f"{self._events}.done", {**self._place, **name, self._input: self.text.getvalue()}
        yield "response.output_item.done", {"output_index": self.index, "item": self.shown()}


class ServerCall:
    """A call that the pod makes, as the vendor shows those that it makes itself: open until its result is there."""

    def __init__(self, owner: str, number: int, call: ServerToolCall) -> None:
        self.text = StringIO()
        self.index = 0
        self.status = "in_progress"
        self._call = call
        self._result: ServerToolResult | None = None
        self._id = f"{SERVER_TOOL_CALL}{owner}_{number}"

    @property
    def is_whole(self) -> bool:
        """Whether its result is there."""
        return self._result is not None

    def shown(self) -> Fields:
        content = None if self._result is None else self._result.content
        failed = self._result is not None and self._result.is_error
        error = {"type": "mcp_tool_execution_error", "content": [{"type": "text", "text": content}]}
        return {
            "id": self._id,
            "type": "mcp_call",
            "status": "failed" if failed else self.status,
            "server_label": self._call.server,
            "name": self._call.tool,
            "arguments": self.text.getvalue(),
            "approval_request_id": self._call.approval or None,
            "output": None if failed else content,
            "error": error if failed else None,
        }

    def begin(self) -> Made:
        yield "response.output_item.added", {"output_index": self.index, "item": self.shown()}
        yield "response.mcp_call.in_progress", self._place

    def delta(self, text: str) -> tuple[str, Fields]:
        return "response.mcp_call_arguments.delta", {**self._place, "delta": text}

    def calling(self) -> Made:
        """Yield the event that its arguments are whole."""
        yield "response.mcp_call_arguments.done", {**self._place, "arguments": self.text.getvalue()}

    def take(self, result: ServerToolResult) -> None:
        self._result = result

    def end(self) -> Made:
        if self._result is not None:
            yield f"response.mcp_call.{'failed' if self._result.is_error else 'completed'}", self._place
        yield "response.output_item.done", {"output_index": self.index, "item": self.shown()}

    @property
    def _place(self) -> Fields:
        return {"item_id": self._id, "output_index": self.index}


class ApprovalRequest:
    """A call that waits for approval: whole at once."""

    def __init__(self, call: ServerToolCall) -> None:
        self.text = StringIO()
        self.index = 0
        self.status = "completed"
        self._call = call

    def shown(self) -> Fields:
        call = self._call
        fields = {"id": call.approval, "type": "mcp_approval_request", "arguments": call.arguments}
        return {**fields, "name": call.tool, "server_label": call.server}

    def begin(self) -> Made:
        yield "response.output_item.added", {"output_index": self.index, "item": self.shown()}

    def delta(self, text: str) -> tuple[str, Fields]:
        raise AssertionError(text)  # its arguments come with it

    def end(self) -> Made:
        yield "response.output_item.done", {"output_index": self.index, "item": self.shown()}


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True
