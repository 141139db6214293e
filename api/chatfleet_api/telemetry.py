"""Logs and metrics: the shape of a line, and the verbs by which the rest of the API counts.

Names are the contract's. Labels are bounded: names of the catalogue, templates of paths, codes of `errors.py`.
"""

import logging
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from typing_extensions import override

from chatfleet_api.chat.events import Usage
from chatfleet_api.errors import Code
from chatfleet_contract import metrics as names
from chatfleet_contract.spec import LogFormat, Observability

FIRST_TOKEN_BUCKETS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""Seconds, after the OpenTelemetry GenAI conventions (gen_ai.client.operation.time_to_first_chunk)."""

_MODEL: Final = ("provider", "model")
_PLAIN: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}


def set_up_logs(wanted: Observability) -> None:
    """Write all logs of this process to standard error, in the wanted shape and from the wanted level on."""
    handler = logging.StreamHandler()
    handler.setFormatter(JSONLines() if wanted.log_format is LogFormat.JSON else TextLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(wanted.log_level.upper())
    for chatty in ("uvicorn.error", "asyncio", "aiohttp"):
        logging.getLogger(chatty).setLevel(max(root.level, logging.WARNING))


class JSONLines(logging.Formatter):
    """One JSON object a line, with what `extra` adds as fields of its own."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extra(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


class TextLines(logging.Formatter):
    """A line for people."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        extra = "".join(f"  {name}={value}" for name, value in _extra(record).items())
        line = f"{self.formatTime(record, '%H:%M:%S')} {record.levelname.lower():7} {record.getMessage()}{extra}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in record.__dict__.items() if name not in _PLAIN}


class Meter:
    """Counts. Every verb is one thing that happened; `gauge` reads a value when it is asked for."""

    def __init__(self, version: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter that nobody reads
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        Gauge(names.BUILD_INFO, "What runs here.", ("version",), registry=registry).labels(version).set(1)
        self._requests = Counter(
            names.REQUESTS_TOTAL, "Requests answered, by path and status.", ("route", "status"), registry=registry
        )
        self._stream_ends = Counter(
            names.STREAM_END_TOTAL, "Streams that ended, by how.", ("dialect", "reason"), registry=registry
        )
        self._rejected = Counter(
            names.REJECTED_TOTAL, "Requests refused to protect this pod.", ("reason",), registry=registry
        )
        self._tokens = Counter(
            names.TOKENS_TOTAL, "Tokens sent to and got from upstreams.", (*_MODEL, "type"), registry=registry
        )
        self._attempts = Counter(
            names.UPSTREAM_ATTEMPTS_TOTAL,
            "Attempts at upstreams, by how they ended.",
            (*_MODEL, "outcome"),
            registry=registry,
        )
        self._retries = Counter(
            names.UPSTREAM_RETRIES_TOTAL, "Retries, by what made them needed.", (*_MODEL, "reason"), registry=registry
        )
        self._suspended = Gauge(
            names.UPSTREAM_SUSPENDED,
            "1 while an upstream that failed too often is spared.",
            ("provider",),
            registry=registry,
        )
        self._first_token = Histogram(
            names.TIME_TO_FIRST_TOKEN,
            "Seconds from asking an upstream to its first token.",
            _MODEL,
            buckets=FIRST_TOKEN_BUCKETS,
            registry=registry,
        )

    def gauge(self, name: str, help_text: str, value: Callable[[], float]) -> None:
        """Export `value`, which is called from another thread whenever somebody asks."""
        Gauge(name, help_text, registry=self._registry).set_function(value)

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def answered(self, route: str, status: int) -> None:
        """Count a request that was answered; `route` is the path's template."""
        self._requests.labels(route, str(status)).inc()

    def stream_ended(self, dialect: str, reason: str) -> None:
        """Count a stream to a client; `reason` is `complete`, an error's code, or `client_left`."""
        self._stream_ends.labels(dialect, reason).inc()

    def rejected(self, code: Code) -> None:
        """Count a request that was refused to protect this pod."""
        self._rejected.labels(code).inc()

    def attempted(self, provider: str, model: str, code: Code | None) -> None:
        """Count an attempt at an upstream that ended; `code` is None when the answer was whole."""
        self._attempts.labels(provider, model, code or "complete").inc()

    def retried(self, provider: str, model: str, code: Code) -> None:
        """Count a retry, with the reason for it."""
        self._retries.labels(provider, model, code).inc()

    def suspended(self, provider: str, spared: bool) -> None:  # noqa: FBT001  # as one says it
        """Note whether a provider is left alone because it failed too often."""
        self._suspended.labels(provider).set(spared)

    def first_token(self, provider: str, model: str, seconds: float) -> None:
        """Note the time from asking an upstream to its first token."""
        self._first_token.labels(provider, model).observe(seconds)

    def tokens(self) -> float:
        """Return how many tokens were counted since the start."""
        return sum(sample.value for metric in self._tokens.collect() for sample in metric.samples)

    def used(self, provider: str, model: str, usage: Usage) -> None:
        """Count the tokens of an attempt."""
        self._tokens.labels(provider, model, "input").inc(usage.input_tokens)
        self._tokens.labels(provider, model, "output").inc(usage.output_tokens)
