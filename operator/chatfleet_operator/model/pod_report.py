"""From the response of a pod to a bounded report. A pod is not trusted: whoever can change it chooses the response.

A report ends in the status of its ChatDeployment, and the API server rejects that status as a whole when one number
or text in it is out of bounds. So the bounds stand here, and a report that breaks them affects its own pod only.
"""

import math
import re
from itertools import islice
from typing import Final

from pydantic import ValidationError

from chatfleet_contract.report import (
    MAX_ACCESS_ERRORS,
    MAX_KNOWLEDGE_ERRORS,
    MAX_REPORTED_MODELS,
    Dependency,
    ModelOutcome,
    PodReport,
    ReportedUsage,
)
from chatfleet_contract.spec.webhooks import MAX_WEBHOOKS
from chatfleet_operator.model.errors import MAX_MESSAGE, truncate

MAX_STREAMS: Final = 100_000
"""Limit of a pod's streams, five times the largest `streaming.maxStreamsPerPod`."""

MAX_TOKENS_PER_SECOND: Final = 1e9

MAX_TOKENS: Final = 10**15
"""Limit of the tokens of a day."""
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_USD: Final = re.compile(r"[0-9]{1,15}(\.[0-9]{1,12})?")

MAX_READ: Final = 4 * MAX_MESSAGE
"""Characters of a text that are looked at; the rest cannot be part of a message."""


def parse_report(body: bytes) -> PodReport | None:
    """Return the report in `body`, with every number and text in bounds; None: it is no report."""
    try:
        return _bounded(PodReport.model_validate_json(body))
    except ValidationError:
        return None


def _bounded(report: PodReport) -> PodReport:
    return report.model_copy(
        update={
            "pod": _text(report.pod),
            "version": _text(report.version),
            "config": _text(report.config),
            "config_error": _text(report.config_error) if report.config_error else None,
            "access_errors": tuple(map(_text, report.access_errors[:MAX_ACCESS_ERRORS])),
            "unpriced_models": tuple(map(_text, report.unpriced_models[:MAX_REPORTED_MODELS])),
            "knowledge_errors": tuple(map(_text, report.knowledge_errors[:MAX_KNOWLEDGE_ERRORS])),
            "webhook_errors": tuple(map(_text, report.webhook_errors[:MAX_WEBHOOKS])),
            "active_streams": min(report.active_streams, MAX_STREAMS),
            "max_streams": min(report.max_streams, MAX_STREAMS),
            "tokens_per_second": _rate(report.tokens_per_second),
            "usage": _usage(report.usage) if report.usage else None,
            "redis_url_error": _text(report.redis_url_error) if report.redis_url_error else None,
            "archive": _dependency(report.archive) if report.archive else None,
            "chromadb": _dependency(report.chromadb) if report.chromadb else None,
            "redis": _dependency(report.redis) if report.redis else None,
            "upstreams": {name: _dependency(upstream) for name, upstream in report.upstreams.items()},
            "models": {name: _outcome(model) for name, model in islice(report.models.items(), MAX_REPORTED_MODELS)},
        }
    )


def _rate(reported: float | None) -> float | None:
    """Return a rate in bounds; None: unknown. `1e400` is infinite in JSON, and no integer."""
    return min(reported, MAX_TOKENS_PER_SECOND) if reported is not None and math.isfinite(reported) else None


def _usage(reported: ReportedUsage) -> ReportedUsage | None:
    """Return the sums in bounds; None: they are of no day, or their cost is no amount of money."""
    if not _DAY.fullmatch(reported.day) or (reported.cost_usd is not None and not _USD.fullmatch(reported.cost_usd)):
        return None
    return ReportedUsage(
        day=reported.day,
        input_tokens=min(reported.input_tokens, MAX_TOKENS),
        output_tokens=min(reported.output_tokens, MAX_TOKENS),
        cost_usd=reported.cost_usd,
    )


def _dependency(reported: Dependency) -> Dependency:
    return reported.model_copy(update={"message": _text(reported.message)}) if reported.message else reported


def _outcome(reported: ModelOutcome) -> ModelOutcome:
    message = _text(reported.message) if reported.message else None
    seconds, failing = _finite(reported.seconds), reported.failing_seconds
    return ModelOutcome(
        provider=_text(reported.provider),
        state=reported.state,
        message=message,
        seconds=seconds,
        failing_seconds=None if failing is None else _finite(failing),
    )


def _finite(seconds: float) -> float:
    return seconds if math.isfinite(seconds) else 0.0


def _text(reported: str) -> str:
    """Return `reported` in one short line, without control characters: it is shown in terminals."""
    return truncate("".join(char if char.isprintable() else " " for char in reported[:MAX_READ]))
