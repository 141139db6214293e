"""Lines of log, and metrics."""

import json
import logging

import pytest

from chatfleet_api.domain.errors import Code
from chatfleet_api.domain.events import Usage
from chatfleet_api.pod.logs import JSONLines, TextLines, set_up_logs
from chatfleet_api.pod.metrics import Meter
from chatfleet_contract import metrics
from chatfleet_contract.spec import LogFormat, LogLevel, Observability


def record(message: str, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("chatfleet_api.x", logging.WARNING, "f.py", 1, message, (), None)
    made.created, made.msecs = 1767323045.25, 250.0
    made.__dict__.update(extra)
    return made


def test_a_json_line_is_one_object_with_what_was_added() -> None:
    line = JSONLines().format(record("a\nb", request_id="q1", milliseconds=1.5))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2026-01-02T03:04:05.250Z",
        "level": "warning",
        "logger": "chatfleet_api.x",
        "message": "a\nb",
        "request_id": "q1",
        "milliseconds": 1.5,
    }


def test_an_exception_is_in_its_line() -> None:
    error = KeyError("k")
    failed = record("failed", exc_info=(KeyError, error, error.__traceback__))
    assert "KeyError: 'k'" in json.loads(JSONLines().format(failed))["exception"]
    assert "KeyError: 'k'" in TextLines().format(failed)


def test_a_text_line_is_for_people() -> None:
    assert TextLines().format(record("hello", request_id="q1")).endswith(" warning hello  request_id=q1")


@pytest.fixture
def _root_logger_as_it_was() -> object:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("_root_logger_as_it_was")
def test_shape_and_level_can_be_changed_while_the_process_runs(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(Observability(log_level=LogLevel.WARNING, log_format=LogFormat.JSON))
    logging.getLogger("chatfleet_api.x").info("one")
    set_up_logs(Observability(log_level=LogLevel.DEBUG, log_format=LogFormat.TEXT))
    logging.getLogger("chatfleet_api.x").debug("two")
    assert [line.split()[1:] for line in capsys.readouterr().err.splitlines()] == [["debug", "two"]]


def test_every_metric_of_the_contract_is_exported_by_its_name() -> None:
    meter = Meter("1.2.3")
    meter.gauge(metrics.ACTIVE_STREAMS, "Open.", lambda: 3)
    meter.answered("/v1/models", 200)
    meter.stream_ended("openai", "complete")
    meter.rejected(Code.AT_CAPACITY)
    meter.attempted("p", "m", None)
    meter.attempted("p", "m", Code.UPSTREAM_TIMEOUT)
    meter.retried("p", "m", Code.UPSTREAM_TIMEOUT)
    meter.first_token("p", "m", 0.3)
    meter.used("p", "m", Usage(input_tokens=5, output_tokens=7))
    lines = meter.exposition().decode().splitlines()
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
    ):
        assert line in lines
    assert not any("_created" in line for line in lines)
