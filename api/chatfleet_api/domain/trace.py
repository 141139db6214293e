"""The trace of what a task does, as the task sees it: its span, and the spans that it begins below that one.

What makes and exports spans is in `telemetry/`, and is imported only where traces are wanted. Otherwise a task has no
span, and each place that would begin one looks up one variable.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol, TypeAlias

from chatfleet_api.domain.live import Live
from chatfleet_contract.spec import GenAIConventions

Attribute: TypeAlias = str | bool | int | float | Sequence[str]


class Kind(Enum):
    """The role of a span, as OpenTelemetry has it."""

    SERVER = "server"
    CLIENT = "client"
    INTERNAL = "internal"


class Place(NamedTuple):
    """Where a span is, in the terms of W3C Trace Context."""

    traceparent: str
    tracestate: str = ""

    @property
    def trace_id(self) -> str:
        return self.traceparent.split("-")[1]

    @property
    def span_id(self) -> str:
        return self.traceparent.split("-")[2]

    @property
    def sampled(self) -> bool:
        """Whether the span is exported: the lowest bit of the flags."""
        return bool(self.traceparent) and int(self.traceparent[-2:], 16) & 1 == 1


NOWHERE: Final = Place("")
"""Of a task without a span."""


class Span(Protocol):
    """An operation that has begun. One that is not sampled is not exported, but its place is passed on all the same."""

    @property
    def place(self) -> Place: ...

    @property
    def tracer(self) -> "Tracer": ...

    def set(self, attributes: Mapping[str, Attribute]) -> None: ...

    def rename(self, name: str) -> None: ...

    def end(self, error: str | None = None) -> None:
        """End it; `error`: the code of what it failed with."""
        ...


class Tracer(Protocol):
    """Begins spans."""

    @property
    def conventions(self) -> GenAIConventions: ...

    @property
    def captures_content(self) -> bool: ...

    def begin(self, name: str, kind: Kind, *, parent: Place | None, link: Place | None = None) -> Span:
        """Begin a span below `parent`, which may be another process's; None, or one that is not valid: a new trace."""
        ...


NO_TRACER: Final[Live[Tracer | None]] = Live(lambda: None)
"""Of a pod that traces nothing."""
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
_CURRENT: ContextVar[Span | None] = ContextVar("span", default=None)


def current() -> Span | None:
    """Return the span of this task; None: there is no tracing."""
    return _CURRENT.get()


def place() -> Place:
    """Return where this task is in its trace, if it has one."""
    span = _CURRENT.get()
    return NOWHERE if span is None else span.place


def headers() -> Mapping[str, str]:
    """Return what a request to another server has, so that its spans are below that of this task."""
    span = _CURRENT.get()
    if span is None:
        return _NO_HEADERS
    here = span.place
    return {"traceparent": here.traceparent, **({"tracestate": here.tracestate} if here.tracestate else {})}


@contextmanager
def active(span: Span) -> Iterator[Span]:
    """Make `span` that of this task, and of those that the block starts. It is not ended by the block."""
    before = _CURRENT.set(span)
    try:
        yield span
    finally:
        _CURRENT.reset(before)


def begin(name: str, kind: Kind) -> Span | None:
    """Begin a span below that of this task, if it has one."""
    span = _CURRENT.get()
    return None if span is None else span.tracer.begin(name, kind, parent=span.place)
