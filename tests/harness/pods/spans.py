"""Spans of the SDK, kept in memory when they end."""

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from chatfleet_api.telemetry.tracer import Identity, SDKTracer
from chatfleet_contract.spec import GenAIConventions

IDENTITY = Identity(deployment="support", namespace="shop", pod="pod-1", version="1.2.3")


class Spans:
    """A tracer, and what it has begun and ended."""

    def __init__(
        self,
        ratio: float = 1.0,
        conventions: GenAIConventions = GenAIConventions.CURRENT,
        *,
        captures_content: bool = False,
    ) -> None:
        self._kept = InMemorySpanExporter()
        self.tracer = SDKTracer(
            IDENTITY,
            SimpleSpanProcessor(self._kept),
            ratio=ratio,
            conventions=conventions,
            captures_content=captures_content,
        )

    @property
    def ended(self) -> list[ReadableSpan]:
        return list(self._kept.get_finished_spans())

    def named(self, name: str) -> ReadableSpan:
        """Return the one span with this name."""
        (span,) = [span for span in self.ended if span.name == name]
        return span
