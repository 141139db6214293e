"""The environment of a pod, read once in `__main__`. What may change while it runs is runtime configuration instead."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from chatfleet_contract.names import (
    ENV_CONFIG_FILE,
    ENV_DRAIN_TOKEN,
    ENV_POD_NAME,
    PORT_ADMIN,
    PORT_HEALTH,
    PORT_SERVING,
)

ENV_HOST: Final = "CHATFLEET_HOST"
ENV_PORT: Final = "CHATFLEET_PORT"
ENV_HEALTH_PORT: Final = "CHATFLEET_HEALTH_PORT"
ENV_ADMIN_PORT: Final = "CHATFLEET_ADMIN_PORT"
ENV_REDIS_URL: Final = "CHATFLEET_REDIS_URL"

LOCALHOST: Final = "127.0.0.1"
LAST_PORT: Final = 65_535
Port = Annotated[int, Field(ge=0, le=LAST_PORT)]


class SettingsError(ValueError):
    """A setting cannot be used; the message names its variable and the remedy."""


class Settings(BaseModel):
    """Everything that a process learns at its start. A description is what `--help` shows of a variable."""

    model_config = ConfigDict(frozen=True, validate_by_name=True, validate_by_alias=True)

    config_file: Path | None = Field(
        None,
        validation_alias=ENV_CONFIG_FILE,
        description="file of the runtime configuration (JSON); unset: scripted models, for a first try",
    )
    host: str = Field(
        LOCALHOST,
        validation_alias=ENV_HOST,
        description=f"address to listen on; unset: all with a configuration file, else {LOCALHOST}",
    )
    port: Port = Field(PORT_SERVING, validation_alias=ENV_PORT, description=f"port of the API; unset: {PORT_SERVING}")
    health_port: Port = Field(
        PORT_HEALTH,
        validation_alias=ENV_HEALTH_PORT,
        description=f"port of health and metrics; unset: {PORT_HEALTH}",
    )
    admin_port: Port = Field(
        PORT_ADMIN,
        validation_alias=ENV_ADMIN_PORT,
        description=f"port of administration, open while access.admin names someone; unset: {PORT_ADMIN}",
    )
    redis_url: SecretStr | None = Field(
        None,
        validation_alias=ENV_REDIS_URL,
        description="Redis without a configuration file (redis:// or rediss://); unset: everything in memory",
    )
    pod: str = Field(
        "local", validation_alias=ENV_POD_NAME, description="name of this pod in its reports; unset: local"
    )
    drain_token: SecretStr = Field(
        SecretStr(""),
        validation_alias=ENV_DRAIN_TOKEN,
        description="token that GET /drain on the health port requires; unset: the path is not served",
    )


ENVIRONMENT: Final = tuple(
    (str(field.validation_alias), str(field.description)) for field in Settings.model_fields.values()
)
"""Every variable with its description."""


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Return the settings in `environment`; unset and empty are the same. Raises `SettingsError`."""
    given = {name: environment[name].strip() for name, _ in ENVIRONMENT if environment.get(name, "").strip()}
    if ENV_CONFIG_FILE in given and ENV_REDIS_URL in given:
        raise SettingsError(
            f"{ENV_REDIS_URL} has no effect with {ENV_CONFIG_FILE}, which names its own Redis; unset one of them."
        )
    given.setdefault(ENV_HOST, "" if ENV_CONFIG_FILE in given else LOCALHOST)
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])  # only ports can be wrong
        raise SettingsError(
            f"{name} is {given[name]!r}; set it to a port between 0 (any that is free) and {LAST_PORT}."
        ) from None
