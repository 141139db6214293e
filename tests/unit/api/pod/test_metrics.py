"""Metrics: named by the contract, and labelled within bounds."""

from chatfleet_api.domain.errors import Code
from chatfleet_api.domain.events import Usage
from chatfleet_api.pod.metrics import Meter
from chatfleet_contract import metrics
from harness.exposition import exported


def test_every_metric_of_the_contract_is_exported_by_its_name() -> None:
    meter = Meter("1.2.3")
    meter.gauge(metrics.ACTIVE_STREAMS, lambda: 3)
    meter.answered("/v1/models", 200)
    meter.stream_ended("openai", "complete")
    meter.rejected(Code.AT_CAPACITY)
    meter.attempted("p", "m", None)
    meter.attempted("p", "m", Code.UPSTREAM_TIMEOUT)
    meter.retried("p", "m", Code.UPSTREAM_TIMEOUT)
    meter.first_token("p", "m", 0.3)
    meter.used("p", "m", Usage(input_tokens=5, output_tokens=7, cache_read_tokens=3))
    lines = meter.exposition().decode().splitlines()
    for name, facts in exported(meter.exposition()).items():
        assert facts == (metrics.METRICS[name].kind, metrics.METRICS[name].help)
    for line in (
        'chatfleet_build_info{version="1.2.3"} 1.0',
        "chatfleet_active_streams 3.0",
        'chatfleet_requests_total{route="/v1/models",status="200"} 1.0',
        'chatfleet_streams_ended_total{dialect="openai",reason="complete"} 1.0',
        'chatfleet_requests_rejected_total{reason="at_capacity"} 1.0',
        'chatfleet_upstream_attempts_total{model="m",outcome="complete",provider="p"} 1.0',
        'chatfleet_upstream_attempts_total{model="m",outcome="upstream_timeout",provider="p"} 1.0',
        'chatfleet_upstream_retries_total{model="m",provider="p",reason="upstream_timeout"} 1.0',
        'chatfleet_time_to_first_token_seconds_bucket{le="0.32",model="m",provider="p"} 1.0',
        'chatfleet_tokens_total{model="m",provider="p",type="input"} 5.0',
        'chatfleet_tokens_total{model="m",provider="p",type="output"} 7.0',
        'chatfleet_cached_input_tokens_total{model="m",provider="p"} 3.0',
    ):
        assert line in lines
    assert not any("_created" in line for line in lines)
