"""The adapter's own settings: read once, from the environment, frozen."""

from pydantic import BaseModel, ConfigDict, Field

from chatfleet_contract import names
from chatfleet_contract.spec import LogFormat, LogLevel

PREFIX = "CHATFLEET_METRICS_APISERVER_"
"""Every variable is this and the field's name in capitals."""


class Settings(BaseModel):
    """What the Deployment sets. Every variable is `CHATFLEET_METRICS_APISERVER_` and a field's name."""

    model_config = ConfigDict(frozen=True)

    namespace: str = "default"
    """The adapter's own namespace: its Service and its Secret are there."""

    service: str = names.METRICS_APISERVER
    """Name of its Service, to which the APIServices lead."""

    service_port: int = Field(443, ge=1, le=65535)
    """Port of that Service."""

    secret: str = names.METRICS_APISERVER
    """Name of the Secret with its certificates; it must exist, and may be empty."""

    owner: str = names.METRICS_APISERVER
    """Name of the ClusterRole that the APIServices belong to, and with which they go."""

    port: int = Field(8443, ge=0, le=65535)
    """Port of the API, with TLS."""

    health_port: int = Field(8080, ge=0, le=65535)
    """Port of /live, /ready and /metrics."""

    period_seconds: float = Field(5.0, ge=1, le=60)
    """From one scrape of a pod to the next. After three of them without an answer, a pod has no figure."""

    log_level: LogLevel = LogLevel.INFO
    """Least severe level that is logged."""

    log_format: LogFormat = LogFormat.JSON
    """json for machines, text for people."""
