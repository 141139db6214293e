"""The answer while it streams, put together so that it can be stored when it ends."""

from collections.abc import Callable, Sequence
from io import StringIO
from typing import assert_never

from msgspec.structs import replace

from chatfleet_api.domain.events import (
    Agent,
    Event,
    Extended,
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
from chatfleet_api.domain.request import AnyToolCall, CustomInput, CustomToolCall, Function, MessageToolCall
from chatfleet_api.providers.provider import AnswerItem, Finish, ItemBatch
from chatfleet_api.sessions.store import PlacedToolEvent, StoredMessage
from chatfleet_contract.spec.agents import MEMBER_PREFIX


class Reply:
    """The answer so far."""

    def __init__(self, clock: Callable[[], float], before: Sequence[AnswerItem | ServerToolEvent] = ()) -> None:
        """Begin after what came `before` on another pod; `clock` returns monotonic seconds."""
        self._clock = clock
        self._began = clock()
        self._text = StringIO()
        self._reasoning = StringIO()
        self._thoughts: list[Thought] = []
        """Parts of the reasoning that have ended."""
        self._thought_begins = 0
        self._calls: dict[int, list[ToolCall]] = {}
        self._server_tools: list[PlacedToolEvent] = []
        self.model: str | None = None
        """The agent that answers, as a model of the API; None: no agent does."""
        self.finish: Finish | None = None
        """Set when the provider has ended the answer."""
        self.first_token_ms: int | None = None
        """Milliseconds until the first piece came."""
        for event in before:
            if isinstance(event, Agent | ServerToolEvent):
                self.note((event,))
            else:
                self.take((event,))
        self.first_token_ms = None

    def take(self, pieces: ItemBatch) -> Sequence[Event]:
        """Add what one read brought, and return the part of it that readers get: all but the finish."""
        events: list[Event] = []
        for piece in pieces:
            match piece:
                case Token():
                    self._text.write(piece.text)
                case Reasoning():
                    self._reasoning.write(piece.text)
                    if piece.signature is not None:
                        self._end_thought(piece.signature)
                case ToolCall():
                    self._calls.setdefault(piece.index, []).append(piece)
                case Extended():
                    self.take(piece.pieces)
                case Agent():
                    self.model = MEMBER_PREFIX + piece.name
                case Finish():
                    self.finish = piece
                    continue
                case _:
                    assert_never(piece)
            events.append(piece)
        if self.first_token_ms is None and events and not isinstance(events[-1], Agent):
            self.first_token_ms = self.elapsed_ms()
        return events

    def note(self, events: Sequence[Event]) -> None:
        """Remember what comes from no provider: who answers, calls of tools of ours, and their results."""
        for event in events:
            if isinstance(event, Agent):
                self.model = MEMBER_PREFIX + event.name
            if isinstance(event, Agent | ServerToolEvent):
                self._server_tools.append(PlacedToolEvent(self._text.tell(), event))

    def noting(self, publish: Callable[[Sequence[Event]], None]) -> Callable[[Sequence[Event]], None]:
        """Return what does both: `note`, and `publish`."""

        def published(events: Sequence[Event]) -> None:
            self.note(events)
            publish(events)

        return published

    def elapsed_ms(self) -> int:
        """Return the milliseconds since the request."""
        return round((self._clock() - self._began) * 1000)

    @property
    def text(self) -> str:
        """The visible text so far."""
        return self._text.getvalue()

    @property
    def reasoning(self) -> str | None:
        """The reasoning so far, None when there was none."""
        return self._reasoning.getvalue() or None

    @property
    def thoughts(self) -> list[Thought] | None:
        """The reasoning so far with its signatures, None when there are none."""
        if not self._thoughts:
            return None
        rest = self._reasoning.getvalue()[self._thought_begins :]
        return [*self._thoughts, *([Thought(rest)] if rest else [])]

    def _end_thought(self, signature: Signature) -> None:
        text = self._reasoning.getvalue()
        self._thoughts.append(Thought(text[self._thought_begins :], signature))
        self._thought_begins = len(text)

    @property
    def server_tools(self) -> list[PlacedToolEvent] | None:
        """The calls of tools of ours so far, with their results, None when there were none.

        The reasoning that they followed from, and the agents of the answer, are with them while it waits for approval:
        its model wants them back.
        """
        placed = self._server_tools
        if placed and isinstance(placed[-1].event, RequiresAction):
            return placed
        tools = [(each.at, each.event) for each in placed if not isinstance(each.event, Agent)]
        return [PlacedToolEvent(at, _without_thoughts(event)) for at, event in tools] or None

    @property
    def tool_calls(self) -> list[AnyToolCall] | None:
        """The tool calls so far, put together, None when there were none."""
        return list(self.calls_by_index.values()) or None

    @property
    def calls_by_index(self) -> dict[int, AnyToolCall]:
        """The tool calls so far, put together, by their numbers in the answer."""
        return {index: whole_call(pieces) for index, pieces in sorted(self._calls.items())}


def _without_thoughts(event: ServerToolEvent) -> ServerToolEvent:
    return replace(event, thoughts=()) if isinstance(event, ServerToolCall) else event


def steps_of(message: StoredMessage) -> tuple[Piece | ServerToolEvent | Agent, ...]:
    """Return what `pieces_of` does, with the calls of tools of ours at their places in the text.

    One that has paused has its agents, too.
    """
    parts: list[Piece | ServerToolEvent | Agent] = []
    for piece in pieces_of(message):
        if not isinstance(piece, Token):
            parts.append(piece)
            continue
        begins = 0
        for placed in message.server_tools or ():
            parts += _text(piece.text[begins : placed.at])
            parts.append(placed.event)
            begins = max(begins, placed.at)
        parts += _text(piece.text[begins:])
    if not message.content:
        parts += [placed.event for placed in message.server_tools or ()]
    return tuple(parts)


def _text(text: str) -> list[Token]:
    return [Token(text)] if text else []


def pieces_of(message: StoredMessage) -> tuple[Piece, ...]:
    """Return an answer that was put together as few pieces."""
    parts = message.thoughts or ([Thought(message.reasoning)] if message.reasoning else [])
    thoughts = (Reasoning(part.text, signature=part.signature) for part in parts)
    texts = (Token(message.content),) if message.content else ()
    calls = message.tool_calls
    return (*thoughts, *texts, *(_called(index, call) for index, call in enumerate(calls or ())))


def _called(index: int, call: AnyToolCall) -> ToolCall:
    if isinstance(call, CustomToolCall):
        return ToolCall(index, call.id, call.custom.name, call.custom.input, custom=True)
    return ToolCall(index, call.id, call.function.name, call.function.arguments)


def whole_call(pieces: Sequence[ToolCall]) -> AnyToolCall:
    """Return the call whose pieces these are."""
    ident = next((piece.id for piece in pieces if piece.id), "")
    name = next((piece.name for piece in pieces if piece.name), "")
    arguments = "".join(piece.arguments for piece in pieces)
    if any(piece.custom for piece in pieces):
        return CustomToolCall(ident, CustomInput(name, arguments))
    return MessageToolCall(ident, Function(name, arguments))
