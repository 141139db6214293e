"""Spans by the SDK of OpenTelemetry: identity, sampling, attributes. What ends is handed to `export`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from opentelemetry import trace as otel
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from chatfleet_api.domain.trace import Attribute, Kind, Place, Span, Tracer
from chatfleet_contract.spec import GenAIConventions

MAX_ATTRIBUTE_CHARS: Final = 32_768
"""Longer texts, which only captured content has, are cut."""

_W3C: Final = TraceContextTextMapPropagator()
_KINDS: Final = {
    Kind.SERVER: otel.SpanKind.SERVER,
    Kind.CLIENT: otel.SpanKind.CLIENT,
    Kind.INTERNAL: otel.SpanKind.INTERNAL,
}


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who exports."""

    deployment: str
    namespace: str
    pod: str
    version: str

    @property
    def resource(self) -> Resource:
        return Resource(
            {
                "service.name": self.deployment,
                "service.namespace": self.namespace,
                "service.instance.id": self.pod,
                "service.version": self.version,
                "k8s.namespace.name": self.namespace,
                "k8s.pod.name": self.pod,
                "telemetry.sdk.language": "python",
                "telemetry.sdk.name": "opentelemetry",
            }
        )


class SDKTracer:
    """A `Tracer` that samples by its parent, and a share of what has none."""

    def __init__(
        self,
        identity: Identity,
        processor: SpanProcessor,
        *,
        ratio: float,
        conventions: GenAIConventions,
        captures_content: bool,
    ) -> None:
        provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(ratio)),
            resource=identity.resource,
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_span_attribute_length=MAX_ATTRIBUTE_CHARS),
        )
        provider.add_span_processor(processor)
        self._tracer = provider.get_tracer("chatfleet", identity.version)
        self.conventions = conventions
        self.captures_content = captures_content

    def begin(self, name: str, kind: Kind, *, parent: Place | None, link: Place | None = None) -> Span:
        links = [otel.Link(to)] if link and (to := _context_of(link)).is_valid else []
        above = otel.set_span_in_context(otel.NonRecordingSpan(_context_of(parent)))
        return SDKSpan(self, self._tracer.start_span(name, above, _KINDS[kind], links=links))


class SDKSpan:
    """A `Span` of the SDK."""

    __slots__ = ("_span", "place", "tracer")

    def __init__(self, tracer: Tracer, span: otel.Span) -> None:
        self.tracer = tracer
        self._span = span
        self.place = _place_of(span.get_span_context())

    def set(self, attributes: Mapping[str, Attribute]) -> None:
        self._span.set_attributes(attributes)

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def end(self, error: str | None = None) -> None:
        if error is not None:
            self._span.set_attribute("error.type", error)
            self._span.set_status(otel.StatusCode.ERROR)
        self._span.end()


def _context_of(place: Place | None) -> otel.SpanContext:
    """Return the context that the headers of W3C describe; an invalid one when they are not valid."""
    if place is None:
        return otel.INVALID_SPAN_CONTEXT
    carrier = {"traceparent": place.traceparent, "tracestate": place.tracestate}
    return otel.get_current_span(_W3C.extract(carrier)).get_span_context()


def _place_of(context: otel.SpanContext) -> Place:
    parent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    return Place(parent, context.trace_state.to_header())
