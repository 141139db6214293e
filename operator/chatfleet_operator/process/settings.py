"""The operator's own settings: read once, from the environment, frozen."""

from collections.abc import Mapping
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from chatfleet_contract.spec import LogFormat, LogLevel

PREFIX = "CHATFLEET_OPERATOR_"
"""Prefix of every variable; the field's name in capitals follows."""


def _names(value: object) -> object:
    return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value


class Settings(BaseModel):
    """The variable of a field is `CHATFLEET_OPERATOR_` and its name in capitals."""

    model_config = ConfigDict(frozen=True)

    namespaces: Annotated[tuple[str, ...], BeforeValidator(_names)] = ()
    """Namespaces to watch, separated by commas. Empty: all of the cluster."""

    deny_namespaces: Annotated[tuple[str, ...], BeforeValidator(_names)] = ()
    """Namespaces that another operator serves, separated by commas: their ChatDeployments are not reconciled."""

    namespace: str = "default"
    """The operator's own namespace: the Lease of the leader is there."""

    pod_name: str = ""
    """Name of the operator's pod, as holder of the Lease and reporter of Events. Empty: the machine's name."""

    api_image: str = "chatfleet.local/api:dev"
    """Image of the API pods where `spec.template.image` is not set."""

    redis_image: str = "docker.io/library/redis:8"
    """Image of a managed Redis; it must contain sh, redis-server and redis-cli."""

    leader_election: bool = True
    """Reconcile only while holding the Lease, so that of several operators one writes. Off: for a single one."""

    workers: int = Field(16, ge=1, le=256)
    """Limit of ChatDeployments that are reconciled concurrently."""

    resync_seconds: float = Field(4.0, ge=1, le=3600)
    """Seconds between reconciliations of a ChatDeployment at rest. Each costs reads, and no write."""

    secrets_need_label: bool = False
    """Use only Secrets with the label `chatfleet.io/allowed`, whatever a ChatDeployment names."""

    restrict_template: bool = False
    """Ignore `template.image` and `template.env[].valueFrom` of ChatDeployments, and report them."""

    metrics_apiserver: str = ""
    """Deployment of the metrics API server in the operator's namespace, which the operator starts when it is needed.
    Empty: it always runs, or never."""

    metrics_apiserver_replicas: int = Field(2, ge=1, le=5)
    """Pods of the metrics API server while it is needed."""

    health_port: int = Field(8080, ge=0, le=65535)
    """Port of /live, /ready and /metrics. 0: any free port, which is logged."""

    log_level: LogLevel = LogLevel.INFO
    """Least severe level that is logged."""

    log_format: LogFormat = LogFormat.JSON
    """json for machines, text for people."""

    def serves(self, namespace: str) -> bool:
        """Whether ChatDeployments of `namespace`, which is watched, are reconciled."""
        return namespace not in self.deny_namespaces


class BadSettings(Exception):  # noqa: N818  # named by what is wrong, as the other errors are
    """A setting is invalid; the message names its variable and what is allowed."""


T = TypeVar("T", bound=BaseModel)


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Return the settings from `environ`. Unset and empty are the same: the default."""
    return read(Settings, PREFIX, environ)


def read(model: type[T], prefix: str, environ: Mapping[str, str]) -> T:
    """Return the settings of `model` from the variables that begin with `prefix`; raises BadSettings."""
    given = {name: environ[prefix + name.upper()] for name in model.model_fields if environ.get(prefix + name.upper())}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        wrong = [f"{prefix}{str(item['loc'][0]).upper()}: {item['msg']}" for item in error.errors(include_url=False)]
        raise BadSettings("; ".join(wrong)) from error
