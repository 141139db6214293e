"""The settings of the metrics API server: read once, from the environment, frozen."""

from pydantic import BaseModel, ConfigDict, Field

from chatfleet_contract import names
from chatfleet_contract.spec import LogFormat, LogLevel

PREFIX = "CHATFLEET_METRICS_APISERVER_"
"""The variable of a field is this prefix and the field's name in capitals."""


class Settings(BaseModel):
    """What the Deployment sets. The variable of a field is `CHATFLEET_METRICS_APISERVER_` and its name in capitals."""

    model_config = ConfigDict(frozen=True)

    namespace: str = "default"
    """Namespace of the server's Service and Secret."""

    service: str = names.METRICS_APISERVER
    """Name of the Service that the APIServices refer to."""

    service_port: int = Field(443, ge=1, le=65535)
    """Port of that Service."""

    secret: str = names.METRICS_APISERVER
    """Name of the Secret for its certificates. It must exist and may be empty."""

    owner: str = names.METRICS_APISERVER
    """Name of the ClusterRole that owns the APIServices; deleting it deletes them."""

    deployment: str = ""
    """Name of the server's Deployment, which has pods only while a ChatDeployment needs the server. Empty: it always
    runs, and is always registered."""

    replicas: int = Field(2, ge=1, le=5)
    """Pods of that Deployment while the server is needed."""

    hold_seconds: float = Field(300.0, ge=0)
    """Seconds for which the server stays after the last ChatDeployment that needed it, if it runs only then."""

    port: int = Field(8443, ge=0, le=65535)
    """Port of the API, with TLS."""

    health_port: int = Field(8080, ge=0, le=65535)
    """Port of /live, /ready and /metrics."""

    period_seconds: float = Field(5.0, ge=1, le=60)
    """Seconds between two scrapes of a pod. A pod without an answer for three periods has no value."""

    log_level: LogLevel = LogLevel.INFO
    """Minimum severity of log messages."""

    log_format: LogFormat = LogFormat.JSON
    """Format of log messages: json or text."""
