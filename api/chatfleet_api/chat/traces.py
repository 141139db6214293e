"""Spans of a run: its turn, and its takeover by another pod, in one trace with what the first pod did for it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final

from chatfleet_api.domain import trace
from chatfleet_api.domain.events import Complete, Start, Terminal
from chatfleet_api.domain.trace import Attribute, Kind, Place, Span, Tracer
from chatfleet_api.runs.fleet.interface import Claim
from chatfleet_api.runs.run import Run


class TurnSpan:
    """The span of a turn, if there is one."""

    def __init__(self, span: Span | None) -> None:
        self._span = span
        self.error: str | None = None

    def ended(self, end: Terminal) -> None:
        """Note how the answer ended, and what it has used."""
        if self._span is None:
            return
        self.error = None if isinstance(end, Complete) else end.code
        if (used := end.usage) is not None:
            self._span.set(
                {"gen_ai.usage.input_tokens": used.input_tokens, "gen_ai.usage.output_tokens": used.output_tokens}
            )


_NONE: Final = TurnSpan(None)


@contextmanager
def turn_span(run: Run, start: Start) -> Iterator[TurnSpan]:
    """Begin the span of a turn, below which its attempts are."""
    span = trace.begin("turn", Kind.INTERNAL)
    if span is None:
        yield _NONE
        return
    span.set(_about(run.id, run.tenant, start))
    turn = TurnSpan(span)
    try:
        with trace.active(span):
            yield turn
    finally:
        span.end("interrupted" if run.fenced else turn.error)


def takeover_span(tracer: Tracer | None, claim: Claim) -> AbstractContextManager[object]:
    """Begin the span of a takeover, in the trace of the request that began the run, and with a link to it."""
    return nullcontext() if tracer is None else _takeover_span(tracer, claim)


@contextmanager
def _takeover_span(tracer: Tracer, claim: Claim) -> Iterator[Span]:
    record = claim.record
    first = Place(record.traceparent, record.tracestate) if record.traceparent else None
    span = tracer.begin("takeover", Kind.INTERNAL, parent=first, link=first)
    span.set(_about(record.start.run, record.tenant, record.start))
    span.set({"chatfleet.takeover.epoch": claim.fence.epoch, "chatfleet.takeover.seconds": claim.seconds})
    try:
        with trace.active(span):
            yield span
    finally:
        span.end()


def _about(run: str, tenant: str, start: Start) -> dict[str, Attribute]:
    named = {} if start.conversation is None else {"gen_ai.conversation.id": start.conversation}
    return {"chatfleet.run.id": run, "chatfleet.tenant": tenant, "chatfleet.model": start.model, **named}
