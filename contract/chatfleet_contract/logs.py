"""The fields of a JSON log line: the same for pods, operator and metrics API server.

`time`, `level`, `logger`, `message`, then the context (of a pod: `request_id` and others; of the operator: `object`),
and `exception` with its traceback.
"""

import logging
import time
from collections.abc import Mapping
from typing import Final

_FORMATTER: Final = logging.Formatter()


def log_fields(record: logging.LogRecord, context: Mapping[str, object]) -> dict[str, object]:
    """Return the fields of one line, in their order."""
    fields: dict[str, object] = {
        "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z",
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": record.getMessage(),
        **context,
    }
    if record.exc_info:
        fields["exception"] = _FORMATTER.formatException(record.exc_info)
    return fields
