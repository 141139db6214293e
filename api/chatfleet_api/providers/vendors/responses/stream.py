"""Parses the answer of OpenAI's Responses API from the payloads of its stream. Pure.

https://developers.openai.com/api/reference/resources/responses/streaming-events. Unknown events are ignored. The answer
is whole when `response.completed` or `response.incomplete` confirms it.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import FinishReason, Reasoning, Token
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.error_objects import ErrorObject, error_of, parse_error
from chatfleet_api.providers.provider import Finish, StreamItem
from chatfleet_api.providers.service_tiers import tier_of
from chatfleet_api.providers.surrogates import Halves, halves_of
from chatfleet_api.providers.upstream_errors import ERROR_CODES, clean, from_event
from chatfleet_api.providers.vendors.openai.odd_usage import usage_of
from chatfleet_api.providers.vendors.openai.usage import UsageCount
from chatfleet_api.providers.vendors.responses.calls import KINDS, ToolCalls
from chatfleet_api.providers.vendors.responses.events import UNEXPECTED, Event, Item, Response, decode, tolerated

INCOMPLETE: Final[Mapping[str, FinishReason]] = MappingProxyType(
    {"max_output_tokens": "length", "max_tokens": "length", "content_filter": "content_filter"}
)
"""Reasons of an incomplete response that the common terms have."""
_OF_THE_REQUEST: Final = frozenset({"invalid_prompt", "data_residency_mismatch", "image_file_not_found"})
_POLICIES: Final = frozenset({"bio_policy", "misalignment_policy_violation", "image_content_policy_violation"})
_CODES: Final[Mapping[str, Code]] = MappingProxyType(
    {
        **ERROR_CODES,
        **dict.fromkeys(_OF_THE_REQUEST, Code.UPSTREAM_REJECTED),
        **dict.fromkeys(_POLICIES, Code.CONTENT_FILTERED),
    }
)
_TEXT: Final = "response.output_text.delta"
_BY_STATUS: Final = MappingProxyType(
    {"completed": "response.completed", "incomplete": "response.incomplete", "failed": "response.failed"}
)
_NO_RESPONSE: Final = Response()


class ResponseParser:
    """Parses the events of one response."""

    is_ending = is_holding = False  # since the last event has the usage

    def __init__(self, request: ChatRequest) -> None:
        self.done = False
        self.pieces = 0
        self.has_begun = False
        self.left_out: set[str] = set()
        self._request = request
        self._halves: Halves | None = None
        """Joins split characters, from the first event on that has half of one."""
        self._calls = ToolCalls(request)
        self._usage = UsageCount()
        self._last = 0
        """Index of the item that an event without index is about."""
        self._read: set[int] = set()
        """Indexes of items whose text has come in pieces."""

    def read(self, payload: bytes, items: list[StreamItem]) -> None:
        """Append to `items` what one event brings."""
        try:
            event = decode(payload)
        except UNEXPECTED as error:
            event = tolerated(payload, error)
            self._halves = self._halves or halves_of(payload)
        before = len(items)
        self.has_begun = self.has_begun or event.type.startswith("response.")
        if event.type == _TEXT and event.delta:
            self._read.add(self._last if event.output_index is None else event.output_index)
            items.append(Token(event.delta))
        else:
            news: list[StreamItem] = []
            try:
                self._rare(event, payload, news)
            finally:  # an answer that fails keeps its items
                items += news
        if self._halves is not None:
            self._halves.join(items, before)
        self.pieces += len(items) - before

    def end(self) -> Finish:
        """Raise, since only an event ends a response."""
        raise ChatError(Code.UPSTREAM_TRUNCATED, detail="the stream ended without response.completed")

    def _index(self, event: Event) -> int:
        return self._last if event.output_index is None else event.output_index

    def _rare(self, event: Event, payload: bytes, items: list[StreamItem]) -> None:
        if event.type == "error":
            raise from_event(_with_message(parse_error(payload), payload), _CODES)
        if handle := _HANDLERS.get(event.type):
            handle(self, event, items)

    def _text(self, event: Event, items: list[StreamItem]) -> None:
        if event.delta:
            self._read.add(self._index(event))
            items.append(Token(event.delta))

    def _thought(self, event: Event, items: list[StreamItem]) -> None:
        if event.delta:
            self._read.add(self._index(event))
            items.append(Reasoning(event.delta))

    def _paragraph(self, event: Event, items: list[StreamItem]) -> None:
        if event.summary_index:  # the parts of a summary are paragraphs
            items.append(Reasoning("\n\n"))

    def _piece(self, event: Event, items: list[StreamItem]) -> None:
        if not self._calls.piece(event, items):
            raise ChatError(Code.UPSTREAM_MALFORMED, detail="arguments came without a tool call")

    def _arguments(self, event: Event, items: list[StreamItem]) -> None:
        self._calls.end(event, items)

    def _whole_item(self, event: Event, items: list[StreamItem]) -> None:
        self._item(self._index(event), event.item or Item(), items)

    def _begin(self, event: Event, items: list[StreamItem]) -> None:
        item = event.item or Item()
        self._last = self._last if event.output_index is None else event.output_index
        if item.type in KINDS:
            self._calls.begin(self._index(event), item, items)

    def _item(self, index: int, item: Item, items: list[StreamItem]) -> None:
        """Take a whole item: what has come of it in pieces is known."""
        if item.type in KINDS:
            self._calls.begin(index, item, items)
            self._calls.end(Event("", output_index=index), items)
        elif item.type in ("message", "reasoning"):
            if index not in self._read:
                is_thought = item.type == "reasoning"
                texts = [part.text or part.refusal or "" for part in (item.summary or item.content or ())]
                if text := ("\n\n" if is_thought else "").join(filter(None, texts)):
                    self._read.add(index)
                    items.append(Reasoning(text) if is_thought else Token(text))
        elif item.type:
            self.left_out.add(f"item of type {item.type}")

    def _end(self, event: Event, items: list[StreamItem]) -> None:
        response = event.response or _NO_RESPONSE
        kind = _BY_STATUS.get(response.status or "", event.type)
        if kind == "response.failed":
            error = error_of(response.error)
            raise from_event(error or ErrorObject(message="the response failed"), _CODES)
        if not self.pieces:
            for index, item in enumerate(response.output or ()):
                self._item(index, item, items)
        if (usage := usage_of([{"usage": response.usage}])) is not None:
            self._usage.read(usage)
        self._usage.tier = tier_of(response.service_tier)
        reason = self._reason(response) if kind == "response.incomplete" else "stop"
        self._calls.complete(items)
        self.done = True
        reason = "tool_calls" if self._calls and reason == "stop" else reason
        items.append(Finish(reason, self._usage.usage(self._request, self.pieces + len(items))))

    def _reason(self, response: Response) -> FinishReason:
        """Return why the response is incomplete."""
        word = response.incomplete_details.reason if response.incomplete_details else None
        known = INCOMPLETE.get(word or "")
        if known is None:
            raise ChatError(Code.UPSTREAM_TRUNCATED, detail=f"the response is incomplete: {clean(word or 'no reason')}")
        return known


_HANDLERS: Final[Mapping[str, Callable[[ResponseParser, Event, list[StreamItem]], None]]] = MappingProxyType(
    {
        _TEXT: ResponseParser._text,  # noqa: SLF001  # the table of the class
        "response.refusal.delta": ResponseParser._text,  # noqa: SLF001
        "response.reasoning_text.delta": ResponseParser._thought,  # noqa: SLF001
        "response.reasoning_summary_text.delta": ResponseParser._thought,  # noqa: SLF001
        "response.reasoning_summary_part.added": ResponseParser._paragraph,  # noqa: SLF001
        "response.function_call_arguments.delta": ResponseParser._piece,  # noqa: SLF001
        "response.custom_tool_call_input.delta": ResponseParser._piece,  # noqa: SLF001
        "response.function_call_arguments.done": ResponseParser._arguments,  # noqa: SLF001
        "response.custom_tool_call_input.done": ResponseParser._arguments,  # noqa: SLF001
        "response.output_item.added": ResponseParser._begin,  # noqa: SLF001
        "response.output_item.done": ResponseParser._whole_item,  # noqa: SLF001
        **dict.fromkeys(_BY_STATUS.values(), ResponseParser._end),  # noqa: SLF001
    }
)
"""By the type of the event."""


def _with_message(error: ErrorObject, payload: bytes) -> ErrorObject:
    return error if error.message else ErrorObject(payload.decode("utf-8", "replace"), error.type, error.code)
