"""The metrics of the metrics API server."""

from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, generate_latest

from chatfleet_contract import metrics
from chatfleet_contract.process_metrics import PROCESS_METRICS
from chatfleet_metrics.apiserver.certificates import LIFETIME, renewed
from chatfleet_metrics.apiserver.tls import ServerTLS
from chatfleet_metrics.telemetry import Telemetry
from harness.exposition import exported


def test_the_metrics_of_the_contract_are_exported() -> None:
    registry = CollectorRegistry()
    Telemetry(registry)
    rows = (row for row in metrics.APISERVER_METRICS if row.name != metrics.TOKENS_PER_SECOND)
    assert exported(generate_latest(registry)) == {row.name: (row.kind, row.help) for row in rows}


def test_the_process_is_measured() -> None:
    registry = CollectorRegistry()
    Telemetry(registry)
    shown = {sample.name: sample.value for family in registry.collect() for sample in family.samples}

    assert all(shown[row.name] > 0 for row in PROCESS_METRICS)


def test_a_scrape_reads_when_the_certificate_expires() -> None:
    registry, tls, now = CollectorRegistry(), ServerTLS(), datetime(2026, 1, 1, tzinfo=UTC)
    Telemetry(registry).certificate(lambda: tls.expiry)
    expiry = metrics.METRICS_APISERVER_CERTIFICATE_EXPIRY
    assert registry.get_sample_value(expiry) == 0
    tls.load(renewed(None, "host.svc", now), "")
    assert registry.get_sample_value(expiry) == (now + LIFETIME).timestamp()
