"""Metrics: named by the contract, and labelled within bounds."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import cast

import pytest
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from chatfleet_api.domain.errors import Code
from chatfleet_api.domain.events import Usage
from chatfleet_api.domain.trace import Place, Span, active
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.pod.tenant_metrics import KeyUse
from chatfleet_api.usage.record import Charge
from chatfleet_contract import metrics
from chatfleet_contract.metric_row import Kind
from chatfleet_contract.spec.providers import MAX_MODELS
from harness.exposition import exported


class Traced:
    """The span of a task, of which only the place is asked."""

    def __init__(self, flags: str) -> None:
        self.place = Place(f"00-{TRACE}-b7ad6b7169203331-{flags}")


TRACE = "0af7651916cd43dd8448eb211c80319c"


def openmetrics(meter: Meter) -> dict[str, Metric]:
    """Return what a parser of OpenMetrics reads from what Prometheus gets."""
    encode, media_type = choose_encoder("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.3")
    assert media_type.startswith("application/openmetrics-text")
    text = meter.exposition(encode=encode).decode()
    found = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]  # prometheus_client
    return {each.name: each for each in found}


@pytest.mark.parametrize(("flags", "expected"), [("01", [TRACE]), ("00", [])])
def test_a_measurement_leads_to_its_trace_if_that_is_exported(flags: str, expected: list[str]) -> None:
    meter = Meter("1")
    with active(cast("Span", Traced(flags))):
        meter.first_token("p", "m", 0.3)
        meter.took_over("continued", 1.2)
    found = openmetrics(meter)
    for name in (metrics.TIME_TO_FIRST_TOKEN, metrics.RUN_TAKEOVER_DURATION_SECONDS):
        exemplars = [sample.exemplar.labels["trace_id"] for sample in found[name].samples if sample.exemplar]
        assert exemplars == expected


def test_without_tracing_there_are_no_exemplars_and_series_are_those_of_the_text_format() -> None:
    meter = Meter("1")
    meter.first_token("p", "m", 0.3)
    meter.asked("tenant")
    samples = {(s.name, *sorted(s.labels.items())) for family in openmetrics(meter).values() for s in family.samples}
    text = text_families(meter.exposition().decode())
    assert samples == {(s.name, *sorted(s.labels.items())) for family in text for s in family.samples}
    assert not any(s.exemplar for family in openmetrics(meter).values() for s in family.samples)


@pytest.mark.feature(22, 49)
def test_every_metric_of_the_contract_is_exported_by_its_name() -> None:
    meter = Meter("1.2.3")
    meter.gauge(metrics.ACTIVE_STREAMS, lambda: 3)
    meter.answered("/v1/models", 200)
    meter.stream_ended("openai", "complete")
    meter.stream_resumed("openai")
    meter.rejected(Code.AT_CAPACITY)
    meter.attempted("p", "m", None)
    meter.attempted("p", "m", Code.UPSTREAM_TIMEOUT)
    meter.retried("p", "m", Code.UPSTREAM_TIMEOUT)
    meter.first_token("p", "m", 0.3)
    meter.used("p", "m", Usage(input_tokens=5, output_tokens=7, cache_read_tokens=3))
    meter.tool_called("tickets", "search", "ok", 0.3)
    meter.tool_called("tickets", "search", "invalid", 0.3)
    lines = meter.exposition().decode().splitlines()
    for name, facts in exported(meter.exposition()).items():
        assert facts == (metrics.METRICS[name].kind, metrics.METRICS[name].help)
    for line in (
        'chatfleet_build_info{version="1.2.3"} 1.0',
        "chatfleet_active_streams 3.0",
        'chatfleet_requests_total{route="/v1/models",status="200"} 1.0',
        'chatfleet_streams_ended_total{dialect="openai",reason="complete"} 1.0',
        'chatfleet_stream_resumes_total{dialect="openai"} 1.0',
        'chatfleet_requests_rejected_total{reason="at_capacity"} 1.0',
        'chatfleet_upstream_attempts_total{model="m",outcome="complete",provider="p"} 1.0',
        'chatfleet_upstream_attempts_total{model="m",outcome="upstream_timeout",provider="p"} 1.0',
        'chatfleet_upstream_retries_total{model="m",provider="p",reason="upstream_timeout"} 1.0',
        'chatfleet_time_to_first_token_seconds_bucket{le="0.32",model="m",provider="p"} 1.0',
        'chatfleet_tokens_total{model="m",provider="p",type="input"} 5.0',
        'chatfleet_tokens_total{model="m",provider="p",type="output"} 7.0',
        'chatfleet_cached_input_tokens_total{model="m",provider="p"} 3.0',
        'chatfleet_tool_calls_total{outcome="ok",server="tickets",tool="search"} 1.0',
        'chatfleet_tool_calls_total{outcome="invalid",server="tickets",tool="search"} 1.0',
        "chatfleet_tool_call_duration_seconds_count 1.0",
    ):
        assert line in lines
    assert not any("_created" in line for line in lines)


HOSTILE = 3_000
"""Names in each label, as if a fault let callers choose them."""


def test_a_pod_has_less_than_2000_series_whatever_is_in_the_labels() -> None:
    meter = Meter("1.2.3")
    for gauge in (row for row in metrics.POD_METRICS if row.kind is Kind.GAUGE and not row.labels):
        meter.gauge(gauge.name, lambda: 1)
    for number in range(HOSTILE):
        name = f'n{number}"\n'
        meter.answered(f"/{name}", number)
        meter.stream_ended(name, name)
        meter.stream_resumed(name)
        meter.rejected(_code(name))
        meter.attempted(name, name, _code(name))
        meter.retried(name, name, _code(name))
        meter.circuit_open(name, is_open=True)
        meter.first_token(name, name, 0.3)
        meter.used(name, name, Usage(input_tokens=5, output_tokens=7, cache_read_tokens=3))
        meter.asked(name)
        meter.event_dropped(name)
        meter.valued(name, name)
        meter.delivered(name, name)
        meter.tool_called(name, name, "ok", 0.3)
        meter.retrieved(name, name, 0.3)
        meter.queued(name, name, 1)
        for wasted in (True, False):
            meter.charged(name, Charge(name, name, name, Usage(5, 7, cost_usd=None if wasted else Decimal(1)), wasted))
    meter.tenants.keys(lambda: (KeyUse(f"t{number}", "k", datetime.now(UTC)) for number in range(HOSTILE)))
    assert len(_series(meter)) < 2_000


def test_what_exceeds_the_bound_is_counted_as_other() -> None:
    meter = Meter("1.2.3")
    for number in range(HOSTILE):
        meter.answered(f"/{number}", 200)
    counted = {labels: float(value) for labels, value in _series(meter).items() if "chatfleet_requests_total" in labels}
    assert sum(counted.values()) == HOSTILE
    assert counted['chatfleet_requests_total{route="other",status="other"}'] > HOSTILE / 2
    assert counted['chatfleet_requests_total{route="/0",status="200"}'] == 1


def test_the_largest_catalogue_is_counted_model_by_model() -> None:
    meter = Meter("1.2.3")
    for number in range(MAX_MODELS):
        meter.used("p", f"m{number}", Usage(input_tokens=5, output_tokens=7, cache_read_tokens=3))
        for cost in (None, Decimal(1)):
            meter.charged("t", Charge("p", f"m{number}", "upstream", Usage(5, 7, cost_usd=cost)))
    assert not [labels for labels in _series(meter) if "other" in labels]


def _code(name: str) -> Code:
    """Return a code that does not exist."""
    return cast("Code", name)


def _series(meter: Meter) -> dict[str, str]:
    """Return the value of each series."""
    lines = meter.exposition().decode().splitlines()
    return dict(line.rpartition(" ")[::2] for line in lines if not line.startswith("#"))
