"""What a client got of one answer, in terms that all dialects share; and the reading of it off each dialect. Pure."""

from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

import msgspec

from harness.clients.events import Event

Closing: TypeAlias = Literal["clean", "broken", "never"]
"""How the response ended: as HTTP has it; in the midst; not at all, as long as we waited."""


@dataclass
class ReceivedStream:
    """One answer as it was received. Times are seconds of the machine's monotonic clock."""

    status: int = 0
    """HTTP status; 0: there was no response."""
    retry_after: str | None = None
    pieces: list[str] = field(default_factory=list)
    """The visible text, as it came."""
    times: list[float] = field(default_factory=list)
    """When each piece came."""
    sequence: list[int] = field(default_factory=list)
    """Sequence numbers of all events, in dialects that have them."""
    ends: list[str] = field(default_factory=list)
    """Each terminal event: `complete`, or the code of the error."""
    closing: Closing = "never"
    asked: float = 0.0
    ended: float = 0.0
    run: str = ""
    """What to ask for when coming back, in dialects that let clients come back: the run, or the response."""
    since: float = 0.0
    """From when on the client has been waiting for the next event."""
    waits: list[float] = field(default_factory=list)
    """How long it waited for each."""

    def note_event(self, now: float) -> None:
        """Note that an event has come."""
        self.waits.append(now - (self.since or self.asked))
        self.since = now

    @property
    def text(self) -> str:
        """The visible text."""
        return "".join(self.pieces)


class DialectReader(Protocol):
    """How one dialect is read."""

    def take(self, event: Event, received: ReceivedStream) -> str | None:
        """Note what the event says; return the text that it brings."""
        ...

    def whole(self, body: bytes, received: ReceivedStream) -> None:
        """Note what a response that is no stream says."""
        ...


class _Error(msgspec.Struct, frozen=True):
    code: str | None = None
    type: str | None = None


class _Native(msgspec.Struct, frozen=True):
    type: str = ""
    text: str = ""
    code: str = ""


class NativeReader:
    """Our own dialect: every event has an id `<run>-<number>`."""

    def take(self, event: Event, received: ReceivedStream) -> str | None:
        """Note an event."""
        said = msgspec.json.decode(event.data, type=_Native)
        if event.id:
            received.run, _, number = event.id.rpartition("-")
            received.sequence.append(int(number))
        if said.type == "complete":
            received.ends.append("complete")
        elif said.type == "error":
            received.ends.append(said.code)
        return said.text if said.type == "token" else None

    def whole(self, body: bytes, received: ReceivedStream) -> None:
        """Note an error; whole answers are asked for in OpenAI's dialect."""
        received.ends.append(msgspec.json.decode(body, type=_Native).code)


class _Delta(msgspec.Struct, frozen=True):
    content: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    delta: _Delta = _Delta()
    message: _Delta = _Delta()
    finish_reason: str | None = None


class _Completion(msgspec.Struct, frozen=True):
    choices: list[_Choice] = []
    error: _Error | None = None


class OpenAIReader:
    """OpenAI's dialect. A reason to finish, or `[DONE]`, claims that the answer is whole."""

    def __init__(self) -> None:
        self._finished = False

    def take(self, event: Event, received: ReceivedStream) -> str | None:
        """Note a chunk."""
        if event.data == "[DONE]":
            if not self._finished:
                received.ends.append("complete")
            return None
        chunk = msgspec.json.decode(event.data, type=_Completion)
        if chunk.error is not None:
            received.ends.append(chunk.error.code or chunk.error.type or "error")
        for choice in chunk.choices:
            if choice.finish_reason:
                self._finished = True
                received.ends.append("complete")
            return choice.delta.content
        return None

    def whole(self, body: bytes, received: ReceivedStream) -> None:
        """Note a completion, or an error."""
        answer = msgspec.json.decode(body, type=_Completion)
        if answer.error is not None:
            received.ends.append(answer.error.code or answer.error.type or "error")
        for choice in answer.choices:
            received.pieces.append(choice.message.content or "")
            if choice.finish_reason:
                received.ends.append("complete")


class _Response(msgspec.Struct, frozen=True):
    id: str = ""
    error: _Error | None = None


class _ResponseEvent(msgspec.Struct, frozen=True):
    type: str
    sequence_number: int
    delta: str = ""
    code: str = ""
    response: _Response = _Response()


class ResponsesReader:
    """The Responses dialect: every event has a `sequence_number`, from 0."""

    def take(self, event: Event, received: ReceivedStream) -> str | None:
        """Note an event."""
        said = msgspec.json.decode(event.data, type=_ResponseEvent)
        received.sequence.append(said.sequence_number + 1)
        received.run = received.run or said.response.id
        match said.type:
            case "response.completed":
                received.ends.append("complete")
            case "response.failed":
                received.ends.append((said.response.error and said.response.error.code) or "failed")
            case "response.incomplete" | "response.cancelled":
                received.ends.append(said.type)
            case "error":
                received.ends.append(said.code)
            case "response.output_text.delta":
                return said.delta
        return None

    def whole(self, body: bytes, received: ReceivedStream) -> None:
        """Note an error; these answers are asked for as streams."""
        OpenAIReader().whole(body, received)
