"""The items of a response's output, and the events that make them: texts and thoughts; `calls` has calls of tools.

An item ends when the next one begins. Calls may come interleaved: one stays open until its arguments are
whole JSON.
"""

from collections.abc import Sequence
from io import StringIO
from typing import Final, NamedTuple, Protocol, assert_never

from chatfleet_api.chat.thoughts import sealed
from chatfleet_api.domain.events import (
    Citation,
    Piece,
    Reasoning,
    RequiresAction,
    ServerToolCall,
    ServerToolEvent,
    Signature,
    Thought,
    Token,
    ToolCall,
)
from chatfleet_api.web.dialects.responses.calls import ApprovalRequest, Call, Fields, Made, ServerCall
from chatfleet_api.web.dialects.responses.citations import annotation_of
from chatfleet_api.web.dialects.responses.ids import MESSAGE, REASONING


class _Item(Protocol):
    """One item."""

    index: int
    text: StringIO
    status: str

    def shown(self) -> Fields: ...

    def begin(self) -> Made: ...

    def delta(self, text: str) -> tuple[str, Fields]: ...

    def end(self) -> Made: ...


class Message:
    """A text."""

    def __init__(self, ident: str, index: int) -> None:
        self.text = StringIO()
        self.index = index
        self.status = "in_progress"
        self.logprobs: list[Fields] = []
        self.annotations: list[Fields] = []
        self._id = ident
        self.place: Final[Fields] = {"item_id": ident, "output_index": index, "content_index": 0}

    def shown(self) -> Fields:
        return {**self._empty(), "status": self.status, "content": [self._part()]}

    def begin(self) -> Made:
        yield "response.output_item.added", {"output_index": self.index, "item": self._empty()}
        yield "response.content_part.added", {**self.place, "part": self._part()}

    def delta(self, text: str) -> tuple[str, Fields]:
        return "response.output_text.delta", {**self.place, "delta": text, "logprobs": []}

    def cite(self, citations: Sequence[Citation]) -> Made:
        """Yield the events that add `citations`."""
        for number, citation in enumerate(citations):
            self.annotations.append(annotation_of(citation, number))
            place = {**self.place, "annotation_index": number}
            yield "response.output_text.annotation.added", {**place, "annotation": self.annotations[-1]}

    def end(self) -> Made:
        yield "response.output_text.done", {**self.place, "text": self.text.getvalue(), "logprobs": self.logprobs}
        yield "response.content_part.done", {**self.place, "part": self._part()}
        yield "response.output_item.done", {"output_index": self.index, "item": self.shown()}

    def _empty(self) -> Fields:
        fields: Fields = {"id": self._id, "type": "message", "role": "assistant", "status": "in_progress"}
        return {**fields, "content": []}

    def _part(self) -> Fields:
        part = {"type": "output_text", "text": self.text.getvalue(), "annotations": self.annotations}
        return {**part, "logprobs": self.logprobs}


class Thoughts:
    """Reasoning: its text or, if the request wanted one, a summary."""

    def __init__(self, ident: str, index: int, form: "Form") -> None:
        is_summary = form.is_summary
        self.text = StringIO()
        self.thoughts: list[Thought] = []
        """Parts that have ended."""
        self._is_sealed = form.is_sealed
        self.index = index
        self.status = "in_progress"
        self._id = ident
        self._is_summary = is_summary
        place = {"item_id": ident, "output_index": index}
        self._place = {**place, ("summary_index" if is_summary else "content_index"): 0}
        self._events = "response.reasoning_summary_" if is_summary else "response.reasoning_"
        self._parts = self._events if is_summary else "response.content_"

    def shown(self) -> Fields:
        content: Fields = (
            {"summary": [self._part()]} if self._is_summary else {"summary": [], "content": [self._part()]}
        )
        if self._is_sealed and self.status == "completed":
            text = self.text.getvalue()[sum(len(part.text) for part in self.thoughts) :]
            content["encrypted_content"] = sealed([*self.thoughts, *([Thought(text)] if text else [])])
        return {"id": self._id, "type": "reasoning", "status": self.status, **content}

    def sign(self, signature: Signature) -> None:
        """End a part of it."""
        begins = sum(len(part.text) for part in self.thoughts)
        self.thoughts.append(Thought(self.text.getvalue()[begins:], signature))

    def begin(self) -> Made:
        empty = {"id": self._id, "type": "reasoning", "status": "in_progress", "summary": []}
        yield "response.output_item.added", {"output_index": self.index, "item": empty}
        yield f"{self._parts}part.added", {**self._place, "part": self._part()}

    def delta(self, text: str) -> tuple[str, Fields]:
        return f"{self._events}text.delta", {**self._place, "delta": text}

    def end(self) -> Made:
        yield f"{self._events}text.done", {**self._place, "text": self.text.getvalue()}
        yield f"{self._parts}part.done", {**self._place, "part": self._part()}
        yield "response.output_item.done", {"output_index": self.index, "item": self.shown()}

    def _part(self) -> Fields:
        return {"type": "summary_text" if self._is_summary else "reasoning_text", "text": self.text.getvalue()}


class Form(NamedTuple):
    """The form of reasoning."""

    is_summary: bool = False
    is_sealed: bool = False
    """Whether it has `encrypted_content`, which clients send back."""


PLAIN: Final = Form()


class Output:
    """The items so far."""

    def __init__(self, owner: str, form: Form = PLAIN) -> None:
        """`owner`: the answer's id, of which those of its items are made."""
        self._owner = owner
        self._form = form
        self._items: list[_Item] = []
        self._open: list[_Item] = []
        self._calls: dict[int, Call] = {}
        self._made: dict[str, ServerCall] = {}
        self._numbers: dict[str, int] = {}

    @property
    def message(self) -> Message | None:
        """The text that is open."""
        last = self._open[-1] if self._open else None
        return last if isinstance(last, Message) else None

    def take(self, piece: Piece) -> Made:
        """Yield the events that a piece of the answer makes."""
        match piece:
            case Token():
                yield from self._continue(self.message, piece.text) if self.message else self._begin_message(piece.text)
            case Reasoning():
                yield from self._thought(piece)
            case ToolCall():
                yield from self._call(piece)
            case _:
                assert_never(piece)

    def take_with_logprobs(self, token: Token, logprobs: list[Fields]) -> Made:
        """Yield the events that a text makes, with the log probabilities of its tokens."""
        if self.message is None:
            yield from self._begin_message("")
        message = self.message
        if message is not None:
            message.text.write(token.text)
            message.logprobs += logprobs
            kind, event = message.delta(token.text)
            yield kind, {**event, "logprobs": logprobs}

    def take_server_tool(self, event: ServerToolEvent) -> Made:
        """Yield the events that a call of the pod's own makes, or its result, or calls that wait for approval."""
        if isinstance(event, RequiresAction):
            for waiting in event.waiting:
                yield from self._begin(ApprovalRequest(waiting), "")
        elif isinstance(event, ServerToolCall):
            call = self._made[event.id] = ServerCall(self._owner, len(self._made) + 1, event)
            yield from self._begin(call, event.arguments)
            yield from call.calling()
        elif (known := self._made.get(event.id)) is not None:
            known.take(event)
            yield from self._close("completed")

    def end(self, status: str, *, is_whole: bool = True, citations: Sequence[Citation] = ()) -> Made:
        """Yield the events that end the items, with `status`. A whole answer without any item has an empty text.

        The text that is last has the `citations`.
        """
        if not self._items and is_whole:
            yield from self._begin_message("")
        if self.message is not None:
            yield from self.message.cite(citations)
        yield from self._close(status, all_calls=True)

    def shown(self) -> list[Fields]:
        """Return the items."""
        return [item.shown() for item in self._items]

    def _begin_message(self, text: str) -> Made:
        yield from self._begin(Message(self._name(MESSAGE), len(self._items)), text)

    def _thought(self, piece: Reasoning) -> Made:
        last = self._open[-1] if self._open else None
        if isinstance(last, Thoughts):
            yield from self._continue(last, piece.text)
        else:
            last = Thoughts(self._name(REASONING), len(self._items), self._form)
            yield from self._begin(last, piece.text)
        if piece.signature is not None:
            last.sign(piece.signature)

    def _call(self, piece: ToolCall) -> Made:
        known = self._calls.get(piece.index)
        if known is not None:
            yield from self._continue(known, piece.arguments)
            return
        call = self._calls[piece.index] = Call(self._owner, len(self._items), len(self._calls), piece)
        yield from self._begin(call, piece.arguments)

    def _begin(self, item: _Item, text: str) -> Made:
        yield from self._close("completed")
        item.index = len(self._items)
        self._items.append(item)
        self._open.append(item)
        yield from item.begin()
        yield from self._continue(item, text)

    def _continue(self, item: _Item, text: str) -> Made:
        if text:
            item.text.write(text)
            yield item.delta(text)

    def _close(self, status: str, *, all_calls: bool = False) -> Made:
        stays: list[_Item] = []
        for item in self._open:
            if isinstance(item, Call | ServerCall) and not all_calls and not item.is_whole:
                stays.append(item)
                continue
            item.status = status
            yield from item.end()
        self._open = stays

    def _name(self, prefix: str) -> str:
        """Return the id of the next item of a kind."""
        number = self._numbers[prefix] = self._numbers.get(prefix, 0) + 1
        return f"{prefix}{self._owner}" + (f"_{number}" if number > 1 else "")
