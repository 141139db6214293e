"""Logs: the shape of a line, for machines or for people."""

import logging
from typing import Any, Final

import msgspec
from typing_extensions import override

from chatfleet_api.domain.log_context import log_context
from chatfleet_api.domain.trace import place
from chatfleet_contract.logs import log_fields
from chatfleet_contract.spec import LogFormat, LogLevel, Observability

_PLAIN: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}


def set_up_logs(wanted: Observability) -> None:
    """Write all logs of this process to standard error, in the wanted shape and from the wanted level on."""
    handler = logging.StreamHandler()
    handler.setFormatter(JSONLines() if wanted.log_format is LogFormat.JSON else TextLines())
    logging.getLogger().handlers[:] = [handler]
    set_level(wanted.log_level)


def set_level(level: LogLevel) -> None:
    """Write lines from `level` on, until the next call."""
    root = logging.getLogger()
    root.setLevel(level.upper())
    for chatty in ("uvicorn.error", "asyncio"):
        logging.getLogger(chatty).setLevel(max(root.level, logging.WARNING))


def level() -> LogLevel:
    """Return from which level on lines are written."""
    return LogLevel(logging.getLevelName(logging.getLogger().level).lower())


class JSONLines(logging.Formatter):
    """One JSON object a line, with the ids of its request and run, and what `extra` adds, as fields of its own."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        return msgspec.json.encode(log_fields(record, _extra(record)), enc_hook=str).decode()


class TextLines(logging.Formatter):
    """A line for people."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        extra = "".join(f"  {name}={value}" for name, value in _extra(record).items())
        line = f"{self.formatTime(record, '%H:%M:%S')} {record.levelname.lower():7} {record.getMessage()}{extra}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    added = {name: value for name, value in record.__dict__.items() if name not in _PLAIN}
    return {**log_context(), **_span(), **added}


def _span() -> dict[str, str]:
    here = place()
    return {"trace_id": here.trace_id, "span_id": here.span_id} if here.traceparent else {}
