"""The fields of a log line."""

import logging

from chatfleet_contract.logs import log_fields


def test_the_context_stands_between_the_message_and_the_exception() -> None:
    error = KeyError("k")
    record = logging.LogRecord("x", logging.ERROR, "f.py", 1, "Failed: %s", ("a",), (KeyError, error, None))
    record.created, record.msecs = 1767323045.25, 250.0
    assert log_fields(record, {"object": "shop/support"}) == {
        "time": "2026-01-02T03:04:05.250Z",
        "level": "error",
        "logger": "x",
        "message": "Failed: a",
        "object": "shop/support",
        "exception": "KeyError: 'k'",
    }
