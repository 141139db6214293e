"""From a script and the number of an attempt to what exactly is sent when, and how the connection ends. Pure."""

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

from harness.upstream.script import Fault, FaultKind, Script, read_question
from harness.upstream.wire_formats import RefusedError, Request, WireFormat

PAGE = b"<!doctype html><title>Welcome</title><p>Please log in.</p>"

Ending: TypeAlias = Literal["end", "cut", "reset", "hang"]
"""How a response ends: in good order; by closing or resetting the connection within it; never."""


class Step(NamedTuple):
    """Something to send, after a pause."""

    data: bytes
    pause: float = 0.0
    """Seconds."""
    tokens: int = 0
    """How many tokens are in it."""


class Playback(NamedTuple):
    """One response."""

    steps: tuple[Step, ...]
    ending: Ending = "end"
    whole: bool = False
    """Whether this is a whole answer, told so in the vendor's way."""
    status: int = 200
    content_type: str = "text/event-stream"
    retry_after: str | None = None


NOTHING = Playback((), "hang", status=0)
"""Not even headers."""


def playback_of(wire_format: WireFormat, request: Request, attempts: Callable[[str], int]) -> tuple[Script, Playback]:
    """Return what the question asks for, and how it is answered this time.

    Args:
        wire_format: What the response is written in.
        request: What was asked.
        attempts: Tells how often the question of a key was asked before.

    Raises:
        ValueError: the question is no script, or cannot be continued in the way that is asked for.
    """
    if not request.stream:
        raise RefusedError("this upstream only streams")
    script = read_question(request.question)
    pieces = script.pieces(wire_format.prefix(request))
    match fault := script.fault(attempts(script.key)):
        case Fault(kind="status"):
            body = wire_format.error_body(fault.status, "scripted")
            return script, Playback(
                (Step(body),), status=fault.status, content_type="application/json", retry_after=fault.retry_after
            )
        case Fault(kind="content_type"):
            return script, Playback((Step(PAGE),), content_type="text/html")
        case Fault(kind="noise"):
            return script, Playback((Step(wire_format.garbage),), content_type=wire_format.media_type)
        case Fault(kind="headers"):
            return script, NOTHING
        case _:
            steps, ending = _stream(wire_format, pieces, script, fault)
            return script, Playback(tuple(steps), ending, whole=fault is None, content_type=wire_format.media_type)


def _stream(
    wire_format: WireFormat, pieces: list[str], script: Script, fault: Fault | None
) -> tuple[list[Step], Ending]:
    frames = wire_format.frames(pieces)
    pauses = (script.first, *(script.gap for _ in pieces))
    tokens = [Step(frame, pause, 1) for frame, pause in zip(frames.tokens, pauses, strict=False)]
    steps = [Step(frames.opening), *tokens, Step(frames.finish), Step(frames.goodbye)]
    if fault is None:
        return steps, "end"
    begun, rest = steps[: fault.after + 1], steps[fault.after + 1 :]
    event = rest[0].data.partition(b"\n\n")[0]
    then: dict[FaultKind, list[Step]] = {
        "unreasoned": [Step(frames.unreasoned)],
        "half": [Step(event[: len(event) // 2])],
        "error": [Step(frames.error)],
        "garbage": [Step(wire_format.garbage), *rest[1:]],
    }
    endings: dict[FaultKind, Ending] = {"reset": "reset", "cut": "cut", "stall": "hang"}
    return [*begun, *then.get(fault.kind, [])], endings.get(fault.kind, "end")
