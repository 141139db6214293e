"""`spec.observability`: logs and traces of the pods."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from chatfleet_contract.parts import Part, rule, rules
from chatfleet_contract.spec.urls import fetched_url_rules, port_rule


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


class GenAIConventions(StrEnum):
    """Names of the attributes of spans about models, as OpenTelemetry has them."""

    CURRENT = "current"
    LATEST = "latest"


class Observability(Part):
    """Logs and traces of the pods."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            *fetched_url_rules(
                "otlpEndpoint",
                example="https://otlp.example.com",
                inside="http://otel-collector.observability.svc:4318",
                query=False,
            ),
            port_rule("otlpEndpoint"),
            rule(
                "!has(self.captureContent) || !self.captureContent || has(self.otlpEndpoint)",
                "observability.captureContent has no effect without observability.otlpEndpoint; set otlpEndpoint or"
                " remove captureContent",
                ".captureContent",
            ),
        )
    )

    log_level: LogLevel = Field(LogLevel.INFO, description="Minimum severity of log lines.")
    log_format: LogFormat = Field(LogFormat.JSON, description="Format of log lines: json or text.")
    access_log: AccessLines = Field(
        AccessLines.ALL,
        description="Requests that have a line in the log at level info: all, errors (status 400 and above) or none.",
    )
    otlp_endpoint: Annotated[str, Field(max_length=512)] | None = Field(
        None,
        description="URL of an OpenTelemetry collector (OTLP over HTTP), without the path /v1/traces, such as"
        " http://otel-collector.observability.svc:4318. Unset: no traces.",
    )
    trace_sample_ratio: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Share of traces that are exported, from 0 to 1. A request with a W3C traceparent header is"
        " exported if the header has the flag sampled.",
    )
    capture_content: bool = Field(
        default=False,
        description="Whether spans have the messages and the answers. Whoever may read traces can read conversations.",
    )
    genai_conventions: GenAIConventions = Field(
        GenAIConventions.CURRENT,
        alias="genaiConventions",
        description="Names of attributes of spans about models: current (OpenTelemetry 1.36) or latest (in"
        " development, may change with a release).",
    )
    test_routes: bool = Field(
        default=False,
        description="Whether pods answer /test/* (echo, slow, fail, stream, memory), by which probes, alerts and"
        " clients are tried. Callers need a credential as for other routes. The condition Testing shows it.",
    )
