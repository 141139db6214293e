"""`spec.observability`: logging of the pods."""

from enum import StrEnum

from pydantic import Field

from chatfleet_contract.parts import Part


class LogLevel(StrEnum):
    """Minimum severity of log lines."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """Format of log lines."""

    JSON = "json"
    TEXT = "text"


class AccessLines(StrEnum):
    """Requests that the access log has."""

    ALL = "all"
    ERRORS = "errors"
    NONE = "none"


class Observability(Part):
    """Logging of the pods."""

    log_level: LogLevel = Field(LogLevel.INFO, description="Minimum severity of log lines.")
    log_format: LogFormat = Field(LogFormat.JSON, description="Format of log lines: json or text.")
    access_log: AccessLines = Field(
        AccessLines.ALL,
        description="Requests that have a line in the log at level info: all, errors (status 400 and above) or none.",
    )
