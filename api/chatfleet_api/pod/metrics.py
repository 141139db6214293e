"""Metrics: the verbs by which the rest of the API counts.

Names, labels and descriptions are the contract's. Labels are bounded: names of the catalogue, templates of paths,
codes of `errors.py`.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Final, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily
from prometheus_client.core import Metric as CollectedMetric
from prometheus_client.registry import Collector
from typing_extensions import override

from chatfleet_api.chat.takeover import Outcome
from chatfleet_api.domain.errors import Code
from chatfleet_api.domain.events import Usage
from chatfleet_api.domain.tools import ToolOutcome
from chatfleet_api.domain.trace import place
from chatfleet_api.pod.tenant_metrics import TenantMetrics
from chatfleet_api.usage.record import Charge
from chatfleet_contract import metrics as names
from chatfleet_contract.metric_row import Metric
from chatfleet_contract.metrics import METRICS
from chatfleet_contract.spec.providers import MAX_MODELS
from chatfleet_contract.spec.webhooks import MAX_WEBHOOKS

FIRST_TOKEN_BUCKETS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""Seconds, after the OpenTelemetry GenAI conventions (gen_ai.client.operation.time_to_first_chunk)."""
TAKEOVER_BUCKETS: Final = (0.5, 1, 1.5, 2, 2.5, 3, 4, 6, 10, 30, 60)
"""Seconds; a pod is dead after 1.75 s without a heartbeat, and 3 s are promised."""

RETRIEVAL_BUCKETS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 1.28)
"""Seconds; 0.04 are promised for 50,000 chunks."""

TOOL_BUCKETS: Final = (0.05, 0.2, 1, 5, 20, 60, 300)
"""Seconds; a call takes at most 600."""

COUNTERS: Final = (
    names.REQUESTS_TOTAL,
    names.STREAMS_ENDED_TOTAL,
    names.STREAM_RESUMES_TOTAL,
    names.REQUESTS_REJECTED_TOTAL,
    names.TOKENS_TOTAL,
    names.CACHED_INPUT_TOKENS_TOTAL,
    names.COST_USD_TOTAL,
    names.UNPRICED_ANSWERS_TOTAL,
    names.WASTED_TOKENS_TOTAL,
    names.UPSTREAM_ATTEMPTS_TOTAL,
    names.UPSTREAM_RETRIES_TOTAL,
    names.UPSTREAM_PAUSES_TOTAL,
    names.RUN_TAKEOVERS_TOTAL,
    names.FEEDBACK_TOTAL,
    names.RETRIEVALS_TOTAL,
    names.TOOL_CALLS_TOTAL,
    names.WEBHOOK_DELIVERIES_TOTAL,
    names.NOTICES_DROPPED_TOTAL,
)
GAUGES: Final = (names.BUILD_INFO, names.UPSTREAM_CIRCUIT_OPEN, names.WEBHOOK_EVENTS)
HISTOGRAMS: Final = {
    names.TIME_TO_FIRST_TOKEN: FIRST_TOKEN_BUCKETS,
    names.RUN_TAKEOVER_DURATION_SECONDS: TAKEOVER_BUCKETS,
    names.RETRIEVAL_DURATION_SECONDS: RETRIEVAL_BUCKETS,
    names.TOOL_CALL_DURATION_SECONDS: TOOL_BUCKETS,
}

LABEL_SETS: Final = {
    names.TIME_TO_FIRST_TOKEN: 36,
    names.TOKENS_TOTAL: 2 * MAX_MODELS + 1,
    names.CACHED_INPUT_TOKENS_TOTAL: MAX_MODELS + 1,
    names.COST_USD_TOTAL: MAX_MODELS + 1,
    names.UNPRICED_ANSWERS_TOTAL: MAX_MODELS + 1,
    names.REQUESTS_TOTAL: 200,
    names.UPSTREAM_ATTEMPTS_TOTAL: 180,
    names.UPSTREAM_RETRIES_TOTAL: 70,
    names.UPSTREAM_PAUSES_TOTAL: MAX_MODELS + 1,
    names.STREAMS_ENDED_TOTAL: 100,
    names.FEEDBACK_TOTAL: 50,
    names.NOTICES_DROPPED_TOTAL: 3,
    names.RETRIEVALS_TOTAL: 50,
    names.TOOL_CALLS_TOTAL: 40,
    names.WEBHOOK_DELIVERIES_TOTAL: 3 * MAX_WEBHOOKS + 1,
    names.WEBHOOK_EVENTS: 3 * MAX_WEBHOOKS + 1,
}
"""Most sets of labels of a metric, so that a pod has less than 2,000 series in any case."""
LABEL_SETS_OF_OTHERS: Final = 40
"""Of each metric that is not listed above."""
OTHER: Final = "other"
"""Each label of what exceeds `LABEL_SETS`."""


class Meter:
    """Counts. Each verb is one event; a new metric is a row of the contract, a name above, and its verb.

    A labelled series is looked up once for each set of labels: the library does it under a lock, in 2 µs.
    """

    def __init__(self, version: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # an unused second series for each counter
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        counters = {name: Counter(*METRICS[name].arguments, registry=registry) for name in COUNTERS}
        gauges = {name: Gauge(*METRICS[name].arguments, registry=registry) for name in GAUGES}
        self._tokens_total = counters[names.TOKENS_TOTAL]
        self._counters = {name: _bounded(counter, name) for name, counter in counters.items()}
        self._gauges = {name: _bounded(gauge, name) for name, gauge in gauges.items()}
        self._histograms = {name: _histogram(METRICS[name], buckets, registry) for name, buckets in HISTOGRAMS.items()}
        self._tokens = self._counters[names.TOKENS_TOTAL]
        self._gauges[names.BUILD_INFO](version).set(1)
        self._left_out = Counter(*METRICS[names.CONTEXT_MESSAGES_LEFT_OUT_TOTAL].arguments, registry=registry)
        self.tenants = TenantMetrics()

    def gauge(self, name: str, value: Callable[[], float]) -> None:
        """Export `value`, which each scrape calls, from another thread."""
        Gauge(*METRICS[name].arguments, registry=self._registry).set_function(value)

    def counter(self, name: str, value: Callable[[], float]) -> None:
        """Export a `value` that is counted elsewhere, as `gauge` does."""
        self._registry.register(_Counted(METRICS[name], value))

    def exposition(
        self, only: Sequence[str] = (), *, tenants: bool = True, encode: Callable[[Collector], bytes] = generate_latest
    ) -> bytes:
        """Return all metrics in Prometheus' text format; with names of series, these alone, which costs far less.

        Without `tenants`, none of a tenant is among them. `encode` writes another format; exemplars are in OpenMetrics.
        """
        registries = (self._registry, self.tenants.registry) if tenants else (self._registry,)
        return encode(_Together([each.restricted_registry(only) if only else each for each in registries]))

    def answered(self, route: str, status: int) -> None:
        """Count a request that got its response; `route` is the path's template."""
        self._counters[names.REQUESTS_TOTAL](route, str(status)).inc()

    def asked(self, tenant: str) -> None:
        """Count a request of a verified caller, by tenant."""
        self.tenants.asked(tenant)

    def stream_ended(self, dialect: str, reason: str) -> None:
        """Count a stream to a client; `reason` is `complete`, an error's code, `client_disconnected` or `moved`."""
        self._counters[names.STREAMS_ENDED_TOTAL](dialect, reason).inc()

    def event_dropped(self, listener: str) -> None:
        """Count an event that a listener was too slow for."""
        self._counters[names.NOTICES_DROPPED_TOTAL](listener).inc()

    def stream_resumed(self, dialect: str) -> None:
        """Count a stream that begins after the last event that its client has seen."""
        self._counters[names.STREAM_RESUMES_TOTAL](dialect).inc()

    def rejected(self, code: Code) -> None:
        """Count a request that was rejected to protect this pod."""
        self._counters[names.REQUESTS_REJECTED_TOTAL](code).inc()

    def attempted(self, provider: str, model: str, code: Code | None) -> None:
        """Count an attempt at an upstream that ended; `code` is None when the answer was whole."""
        self._counters[names.UPSTREAM_ATTEMPTS_TOTAL](provider, model, code or "complete").inc()

    def retried(self, provider: str, model: str, code: Code) -> None:
        """Count a retry, with the reason for it."""
        self._counters[names.UPSTREAM_RETRIES_TOTAL](provider, model, code).inc()

    def paused(self, provider: str, model: str) -> None:
        """Count a pause that an upstream demands; `model` is the provider's own name."""
        self._counters[names.UPSTREAM_PAUSES_TOTAL](provider, model).inc()

    def circuit_open(self, provider: str, is_open: bool) -> None:  # noqa: FBT001  # a gauge's value
        """Record the state of a provider's circuit breaker."""
        self._gauges[names.UPSTREAM_CIRCUIT_OPEN](provider).set(is_open)

    def first_token(self, provider: str, model: str, seconds: float) -> None:
        """Record the time from a request to an upstream to its first token, with the trace as an exemplar."""
        self._histograms[names.TIME_TO_FIRST_TOKEN](provider, model).observe(seconds, _exemplar())

    def tokens(self) -> float:
        """Return the number of tokens since the start."""
        return sum(sample.value for metric in self._tokens_total.collect() for sample in metric.samples)

    def valued(self, model: str, value: str) -> None:
        """Count a thumb, or a rating, of an answer of a model."""
        self._counters[names.FEEDBACK_TOTAL](model, value).inc()

    def retrieved(self, model: str, result: str, seconds: float) -> None:
        """Count a retrieval for a model that took `seconds`, by its `result` (`knowledge/grounding.py`)."""
        self._counters[names.RETRIEVALS_TOTAL](model, result).inc()
        self._histograms[names.RETRIEVAL_DURATION_SECONDS]().observe(seconds)

    def tool_called(self, server: str, tool: str, outcome: ToolOutcome, seconds: float) -> None:
        """Count a call of a tool; one that was made has taken `seconds`."""
        self._counters[names.TOOL_CALLS_TOTAL](server, tool, outcome).inc()
        if outcome != "invalid":
            self._histograms[names.TOOL_CALL_DURATION_SECONDS]().observe(seconds)

    def delivered(self, webhook: str, outcome: str) -> None:
        """Count an attempt at a delivery: `delivered`, `failed`, or `dead`."""
        self._counters[names.WEBHOOK_DELIVERIES_TOTAL](webhook, outcome).inc()

    def queued(self, webhook: str, state: str, count: int) -> None:
        """Record how many events of a webhook are in a state."""
        self._gauges[names.WEBHOOK_EVENTS](webhook, state).set(count)

    def took_over(self, outcome: Outcome, seconds: float) -> None:
        """Count a run that was taken over after `seconds` without a producer, with its trace as an exemplar."""
        self._counters[names.RUN_TAKEOVERS_TOTAL](outcome).inc()
        self._histograms[names.RUN_TAKEOVER_DURATION_SECONDS]().observe(seconds, _exemplar())

    def left_out(self, messages: int) -> None:
        """Count messages of a conversation that were left out of a request."""
        self._left_out.inc(messages)

    def used(self, provider: str, model: str, usage: Usage) -> None:
        """Count the tokens of an attempt."""
        self._tokens(provider, model, "input").inc(usage.input_tokens)
        self._tokens(provider, model, "output").inc(usage.output_tokens)
        if usage.cache_read_tokens:
            self._counters[names.CACHED_INPUT_TOKENS_TOTAL](provider, model).inc(usage.cache_read_tokens)

    def charged(self, tenant: str, charge: Charge) -> None:
        """Count the cost of an attempt, or that it is not known, and the tokens of one that was wasted."""
        provider, model, usage = charge.provider, charge.model, charge.usage
        if usage.cached:
            return  # no provider has got it
        self.tenants.used(tenant, usage)
        if usage.cost_usd is None:
            self._counters[names.UNPRICED_ANSWERS_TOTAL](provider, model).inc()
        else:
            self._counters[names.COST_USD_TOTAL](provider, model).inc(float(usage.cost_usd))
        if charge.wasted:
            self._counters[names.WASTED_TOKENS_TOTAL](provider, model, "input").inc(usage.input_tokens)
            self._counters[names.WASTED_TOKENS_TOTAL](provider, model, "output").inc(usage.output_tokens)


def _histogram(row: Metric, buckets: Sequence[float], registry: CollectorRegistry) -> Callable[..., Histogram]:
    """Return what finds the series of some labels; a metric without labels is its own series."""
    made = Histogram(*row.arguments, buckets=buckets, registry=registry)
    return _bounded(made, row.name) if row.labels else lambda: made


Series = TypeVar("Series", Counter, Gauge, Histogram)


def _bounded(metric: Series, name: str) -> Callable[..., Series]:
    """Return what finds the series of some labels; further ones than `LABEL_SETS` are counted together as `other`."""
    left = LABEL_SETS.get(name, LABEL_SETS_OF_OTHERS)

    @cache
    def rest() -> Series:
        return metric.labels(*[OTHER] * len(METRICS[name].labels))

    @cache
    def find(*labels: str) -> Series:
        nonlocal left
        left -= 1
        return metric.labels(*labels) if left > 0 else rest()

    return find


def _exemplar() -> dict[str, str] | None:
    """Return what leads from a measurement to its trace, if that is exported."""
    here = place()
    return {"trace_id": here.trace_id, "span_id": here.span_id} if here.sampled else None


class _Together(Collector):
    """Several registries as one, since OpenMetrics has one end."""

    def __init__(self, parts: Sequence[Collector]) -> None:
        self._parts = parts

    @override
    def collect(self) -> Iterator[CollectedMetric]:
        return chain.from_iterable(part.collect() for part in self._parts)


class _Counted(Collector):
    """A counter that each scrape reads."""

    def __init__(self, row: Metric, value: Callable[[], float]) -> None:
        self._row, self._value = row, value

    @override
    def collect(self) -> Iterator[CounterMetricFamily]:
        yield CounterMetricFamily(self._row.name, self._row.help, value=self._value())
