"""The queue of spans has a bound, what exceeds it is counted, and the log has one line however often it fails."""

import logging
import time

import pytest

from chatfleet_api.domain.trace import Kind
from chatfleet_api.http.egress.policy import Egress
from chatfleet_api.telemetry import export
from chatfleet_api.telemetry.tracer import SDKTracer
from chatfleet_contract.spec import GenAIConventions
from harness.pods.spans import IDENTITY
from harness.polling import eventually

NOT_ALLOWED = "http://127.0.0.1:9"
"""The guard refuses it at once: loopback needs an entry."""


def tracer_of(exporting: export.SpanExport) -> SDKTracer:
    return SDKTracer(IDENTITY, exporting, ratio=1.0, conventions=GenAIConventions.CURRENT, captures_content=False)


def test_what_exceeds_the_queue_is_dropped_and_counted_and_the_log_has_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(export, "MAX_QUEUE", 10)
    monkeypatch.setattr(export, "DELAY_SECONDS", 0.01)
    monkeypatch.setattr(export, "MAX_PAUSE_SECONDS", 0.02)
    caplog.set_level(logging.INFO, "chatfleet_api.telemetry")
    exporting = export.SpanExport(NOT_ALLOWED, Egress())
    tracer = tracer_of(exporting)
    tracer.begin("first", Kind.INTERNAL, parent=None).end()
    eventually(lambda: "Failed to export traces" in caplog.text)
    began = time.perf_counter()
    for _ in range(1_000):
        tracer.begin("more", Kind.INTERNAL, parent=None).end()
    took = time.perf_counter() - began
    assert 990 <= exporting.dropped <= 1_000
    assert took < 10  # nothing waited for the collector: that is 5 s for each attempt
    exporting.close(30)
    assert exporting.exported == 0
    assert exporting.dropped == 1_001
    assert len([record for record in caplog.records if record.name == export.__name__]) == 1
