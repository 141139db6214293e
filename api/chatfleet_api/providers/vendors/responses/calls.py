"""The tool calls of one response, kept apart by the items that they are. Pure."""

from chatfleet_api.domain.events import ToolCall
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.made_ids import made_id
from chatfleet_api.providers.provider import StreamItem
from chatfleet_api.providers.surrogates import replaced
from chatfleet_api.providers.vendors.responses.events import Event, Item

KINDS = frozenset({"function_call", "custom_tool_call"})
"""Types of items that are calls of the client's tools."""


class _Call:
    """A tool call that has begun."""

    __slots__ = ("given", "is_custom", "is_silent", "number")

    def __init__(self, number: int, *, is_custom: bool) -> None:
        self.number = number
        self.is_custom = is_custom
        self.given = ""
        """The arguments that came with the item. Pieces go before them."""
        self.is_silent = True
        """Whether no arguments have been handed out."""


class ToolCalls:
    """Numbers the calls from 0, and hands out the arguments of each once."""

    __slots__ = ("_calls", "_last", "_request")

    def __init__(self, request: ChatRequest) -> None:
        self._request = request
        self._calls: dict[int | str, _Call] = {}
        self._last: int | str = 0

    def __bool__(self) -> bool:
        return bool(self._calls)

    def begin(self, key: int | str, item: Item, items: list[StreamItem]) -> None:
        """Take an item that is a call, also one that is known."""
        self._last = key
        call = self._calls.get(key)
        if call is None:
            call = self._calls[key] = _Call(len(self._calls), is_custom=item.type == "custom_tool_call")
            ident = replaced(item.call_id or item.id or "") or made_id(self._request, call.number)
            items.append(ToolCall(call.number, ident, replaced(item.name or ""), custom=call.is_custom))
        call.given = item.arguments or item.input or call.given

    def piece(self, event: Event, items: list[StreamItem]) -> bool:
        """Take a piece of arguments; returns False when it is of no call."""
        call = self._find(event)
        if call is None:
            return False
        if event.delta:
            call.is_silent = False
            items.append(ToolCall(call.number, arguments=event.delta))
        return True

    def end(self, event: Event, items: list[StreamItem]) -> None:
        """Take the whole arguments of a call."""
        if call := self._find(event):
            call.given = event.arguments or event.input or call.given
            _complete(call, items)

    def complete(self, items: list[StreamItem]) -> None:
        """Hand out the arguments of calls that had no pieces: callers are used to JSON, even for nothing."""
        for call in self._calls.values():
            _complete(call, items)

    def _find(self, event: Event) -> _Call | None:
        key = self._last if event.output_index is None else event.output_index
        return self._calls.get(key) or self._calls.get(self._last)


def _complete(call: _Call, items: list[StreamItem]) -> None:
    if call.is_silent:
        call.is_silent = False
        arguments = call.given or ("" if call.is_custom else "{}")
        items.append(ToolCall(call.number, arguments=arguments))
