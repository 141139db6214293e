"""Lines of log."""

import json
import logging

import pytest

from chatfleet_api.pod.logs import JSONLines, TextLines, set_up_logs
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
