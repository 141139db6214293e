"""Tracing of a pod, as its configuration wants it: none, and then nothing of OpenTelemetry is imported."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from chatfleet_api.domain.live import Live
from chatfleet_api.domain.trace import Tracer
from chatfleet_contract.runtime import RuntimeConfig, RuntimeEgress
from chatfleet_contract.spec import GenAIConventions

if TYPE_CHECKING:
    from chatfleet_api.telemetry.export import SpanExport

FOLLOW_SECONDS: Final = 1.0
"""Time between two looks at the configuration."""
CLOSE_SECONDS: Final = 2.0
"""How long the end of a pod, or of its settings, waits for the last spans."""


class TraceSettings(NamedTuple):
    """What tracing is set up from."""

    endpoint: str
    ratio: float
    conventions: GenAIConventions
    captures_content: bool
    egress: RuntimeEgress


def settings_of(config: RuntimeConfig) -> TraceSettings | None:
    """Return how to trace; None: not at all."""
    wanted = config.observability
    if wanted.otlp_endpoint is None:
        return None
    return TraceSettings(
        wanted.otlp_endpoint,
        wanted.trace_sample_ratio,
        wanted.genai_conventions,
        wanted.capture_content,
        config.egress,
    )


class Tracing:
    """The tracer of the current configuration, and counts of all spans."""

    def __init__(self, live: Live[RuntimeConfig], *, pod: str, version: str) -> None:
        self._live = live
        self._pod = pod
        self._version = version
        self._settings: TraceSettings | None = None
        self._tracer: Tracer | None = None
        self._exports: list[SpanExport] = []
        """The newest is last."""

    @property
    def tracer(self) -> Live[Tracer | None]:
        """None: there is no tracing."""
        return Live(lambda: self._tracer)

    @property
    def exported(self) -> int:
        return sum(export.exported for export in self._exports)

    @property
    def dropped(self) -> int:
        return sum(export.dropped for export in self._exports)

    def follow(self) -> Callable[[], None] | None:
        """Trace as the configuration wants it now; return what ends the export of before, and blocks."""
        wanted = settings_of(self._live())
        if wanted == self._settings:
            return None
        self._settings, self._tracer = wanted, None
        before = self._exports[-1] if self._exports else None
        if wanted is not None:
            self._begin(wanted)
        return None if before is None else lambda: before.close(CLOSE_SECONDS)

    async def run(self) -> None:
        """Follow the configuration, until cancelled; then export what is left."""
        try:
            while True:
                if (end := self.follow()) is not None:
                    await asyncio.to_thread(end)
                await asyncio.sleep(FOLLOW_SECONDS)
        finally:
            self._settings, self._tracer = None, None
            if self._exports:
                await asyncio.to_thread(self._exports[-1].close, CLOSE_SECONDS)

    def _begin(self, wanted: TraceSettings) -> None:
        # Not before tracing is wanted: the SDK and the encoding take 4 MB.
        from chatfleet_api.http.egress.policy import Egress  # noqa: PLC0415  # only with traces
        from chatfleet_api.telemetry.export import SpanExport  # noqa: PLC0415  # only with traces
        from chatfleet_api.telemetry.tracer import Identity, SDKTracer  # noqa: PLC0415  # only with traces

        config = self._live()
        export = SpanExport(wanted.endpoint, Egress.of(wanted.egress))
        self._exports.append(export)
        self._tracer = SDKTracer(
            Identity(deployment=config.deployment, namespace=config.namespace, pod=self._pod, version=self._version),
            export,
            ratio=wanted.ratio,
            conventions=wanted.conventions,
            captures_content=wanted.captures_content,
        )
