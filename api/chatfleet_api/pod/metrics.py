"""Metrics: the verbs by which the rest of the API counts.

Names are the contract's. Labels are bounded: names of the catalogue, templates of paths, codes of `errors.py`.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Final

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
from prometheus_client.registry import Collector
from typing_extensions import override

from chatfleet_api.chat.takeover import Outcome
from chatfleet_api.domain.errors import Code
from chatfleet_api.domain.events import Usage
from chatfleet_contract import metrics as names

FIRST_TOKEN_BUCKETS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""Seconds, after the OpenTelemetry GenAI conventions (gen_ai.client.operation.time_to_first_chunk)."""
TAKEOVER_BUCKETS: Final = (0.5, 1, 1.5, 2, 2.5, 3, 4, 6, 10, 30, 60)
"""Seconds; a pod is dead after 1.75 s without a sign of life, and 3 s are promised."""

_MODEL: Final = ("provider", "model")


class Meter:
    """Counts. Every verb is one thing that happened; `gauge` reads a value when it is asked for.

    What every request counts is looked up once for each set of labels: the library does it under a lock, in 2 µs.
    """

    def __init__(self, version: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter that nobody reads
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        Gauge(names.BUILD_INFO, "What runs here.", ("version",), registry=registry).labels(version).set(1)
        self._requests = cache(
            Counter(
                names.REQUESTS_TOTAL, "Requests answered, by path and status.", ("route", "status"), registry=registry
            ).labels
        )
        self._stream_ends = cache(
            Counter(
                names.STREAMS_ENDED_TOTAL, "Streams that ended, by how.", ("dialect", "reason"), registry=registry
            ).labels
        )
        self._rejected = Counter(
            names.REQUESTS_REJECTED_TOTAL, "Requests refused to protect this pod.", ("reason",), registry=registry
        )
        self._all_tokens = Counter(
            names.TOKENS_TOTAL, "Tokens sent to and got from upstreams.", (*_MODEL, "type"), registry=registry
        )
        self._tokens = cache(self._all_tokens.labels)
        self._attempts = cache(
            Counter(
                names.UPSTREAM_ATTEMPTS_TOTAL,
                "Attempts at upstreams, by how they ended.",
                (*_MODEL, "outcome"),
                registry=registry,
            ).labels
        )
        self._retries = Counter(
            names.UPSTREAM_RETRIES_TOTAL, "Retries, by what made them needed.", (*_MODEL, "reason"), registry=registry
        )
        self._circuit_open = Gauge(
            names.UPSTREAM_CIRCUIT_OPEN,
            "1 while an upstream that failed too often is spared.",
            ("provider",),
            registry=registry,
        )
        self._first_token = cache(
            Histogram(
                names.TIME_TO_FIRST_TOKEN,
                "Seconds from asking an upstream to its first token.",
                _MODEL,
                buckets=FIRST_TOKEN_BUCKETS,
                registry=registry,
            ).labels
        )
        self._takeovers = Counter(
            names.RUN_TAKEOVERS_TOTAL,
            "Runs taken over from other pods, by what became of them.",
            ("outcome",),
            registry=registry,
        )
        self._takeover_seconds = Histogram(
            names.RUN_TAKEOVER_DURATION_SECONDS,
            "Seconds for which nobody had produced a run when it was taken over.",
            buckets=TAKEOVER_BUCKETS,
            registry=registry,
        )

    def gauge(self, name: str, help_text: str, value: Callable[[], float]) -> None:
        """Export `value`, which is called from another thread whenever somebody asks."""
        Gauge(name, help_text, registry=self._registry).set_function(value)

    def counter(self, name: str, help_text: str, value: Callable[[], float]) -> None:
        """Export `value`, which somebody else counts, as `gauge` does."""
        self._registry.register(_Counted(name, help_text, value))

    def exposition(self, only: Sequence[str] = ()) -> bytes:
        """Return all metrics in Prometheus' text format; with names of series, these alone, which costs far less."""
        return generate_latest(self._registry.restricted_registry(only) if only else self._registry)

    def answered(self, route: str, status: int) -> None:
        """Count a request that was answered; `route` is the path's template."""
        self._requests(route, str(status)).inc()

    def stream_ended(self, dialect: str, reason: str) -> None:
        """Count a stream to a client; `reason` is `complete`, an error's code, `client_disconnected` or `moved`."""
        self._stream_ends(dialect, reason).inc()

    def rejected(self, code: Code) -> None:
        """Count a request that was refused to protect this pod."""
        self._rejected.labels(code).inc()

    def attempted(self, provider: str, model: str, code: Code | None) -> None:
        """Count an attempt at an upstream that ended; `code` is None when the answer was whole."""
        self._attempts(provider, model, code or "complete").inc()

    def retried(self, provider: str, model: str, code: Code) -> None:
        """Count a retry, with the reason for it."""
        self._retries.labels(provider, model, code).inc()

    def circuit_open(self, provider: str, is_open: bool) -> None:  # noqa: FBT001  # a gauge's value
        """Note whether a provider is left alone because it failed too often."""
        self._circuit_open.labels(provider).set(is_open)

    def first_token(self, provider: str, model: str, seconds: float) -> None:
        """Note the time from asking an upstream to its first token."""
        self._first_token(provider, model).observe(seconds)

    def tokens(self) -> float:
        """Return how many tokens were counted since the start."""
        return sum(sample.value for metric in self._all_tokens.collect() for sample in metric.samples)

    def took_over(self, outcome: Outcome, seconds: float) -> None:
        """Count a run that was taken over, after `seconds` in which nobody produced it."""
        self._takeovers.labels(outcome).inc()
        self._takeover_seconds.observe(seconds)

    def used(self, provider: str, model: str, usage: Usage) -> None:
        """Count the tokens of an attempt."""
        self._tokens(provider, model, "input").inc(usage.input_tokens)
        self._tokens(provider, model, "output").inc(usage.output_tokens)


class _Counted(Collector):
    """A counter that is read when somebody asks."""

    def __init__(self, name: str, help_text: str, value: Callable[[], float]) -> None:
        self._name, self._help, self._value = name, help_text, value

    @override
    def collect(self) -> Iterator[CounterMetricFamily]:
        yield CounterMetricFamily(self._name, self._help, value=self._value())
