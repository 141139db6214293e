"""The environment of a pod, read once in `__main__`. What may change while it runs is runtime configuration instead."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chatfleet_contract.names import ENV_CONFIG_FILE, ENV_DRAIN_TOKEN, ENV_POD_NAME, PORT_HEALTH, PORT_SERVING

ENV_HOST: Final = "CHATFLEET_HOST"
ENV_PORT: Final = "CHATFLEET_PORT"
ENV_HEALTH_PORT: Final = "CHATFLEET_HEALTH_PORT"
ENV_REDIS_URL: Final = "CHATFLEET_REDIS_URL"

_PORTS: Final = range(65_536)


class SettingsError(ValueError):
    """The environment is not as it must be; the message names the variable and the remedy."""


@dataclass(frozen=True)
class Settings:
    """Everything that a process is told at its start."""

    config_file: Path | None = None
    """CHATFLEET_CONFIG_FILE: the runtime configuration (JSON). Unset: a first look, with scripted answers."""
    host: str = "127.0.0.1"
    """CHATFLEET_HOST: address to listen on. Unset: every address with a configuration file, else this machine alone."""
    port: int = PORT_SERVING
    """CHATFLEET_PORT: port of the API."""
    health_port: int = PORT_HEALTH
    """CHATFLEET_HEALTH_PORT: port of health and metrics."""
    redis_url: str | None = None
    """CHATFLEET_REDIS_URL: Redis for a first look; a configuration file names its own. Unset: everything in memory."""
    pod: str = "local"
    """CHATFLEET_POD_NAME: this pod's name, as reports show it."""
    drain_token: str = ""
    """CHATFLEET_DRAIN_TOKEN: what the kubelet shows to tell this pod of its end. Unset: nobody can tell it."""


ENVIRONMENT: Final = (
    (ENV_CONFIG_FILE, "file of the runtime configuration (JSON); unset: scripted answers, for a first look"),
    (ENV_HOST, "address to listen on; unset: all with a configuration file, else 127.0.0.1"),
    (ENV_PORT, f"port of the API; unset: {PORT_SERVING}"),
    (ENV_HEALTH_PORT, f"port of health and metrics; unset: {PORT_HEALTH}"),
    (ENV_REDIS_URL, "Redis for a first look (redis:// or rediss://); unset: everything in memory"),
    (ENV_POD_NAME, "name of this pod in its reports; unset: local"),
    (ENV_DRAIN_TOKEN, "what GET /drain on the health port must show; unset: it is not served"),
)
"""Every variable with what it is for, as `--help` shows them."""


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Return the settings in `environment`; raises `SettingsError` for a value that cannot be."""
    given = {name: environment[name].strip() for name, _ in ENVIRONMENT if environment.get(name, "").strip()}
    config_file = given.get(ENV_CONFIG_FILE)
    if config_file is not None and ENV_REDIS_URL in given:
        raise SettingsError(
            f"{ENV_REDIS_URL} has no effect with {ENV_CONFIG_FILE}, which names its own Redis; unset one of them."
        )
    return Settings(
        config_file=None if config_file is None else Path(config_file),
        host=given.get(ENV_HOST, "127.0.0.1" if config_file is None else ""),
        port=_port(given, ENV_PORT, PORT_SERVING),
        health_port=_port(given, ENV_HEALTH_PORT, PORT_HEALTH),
        redis_url=given.get(ENV_REDIS_URL),
        pod=given.get(ENV_POD_NAME, "local"),
        drain_token=given.get(ENV_DRAIN_TOKEN, ""),
    )


def _port(given: Mapping[str, str], name: str, default: int) -> int:
    text = given.get(name)
    if text is None:
        return default
    if not text.isdecimal() or int(text) not in _PORTS:
        raise SettingsError(f"{name} is {text!r}; set it to a port between 0 (any that is free) and {_PORTS[-1]}.")
    return int(text)
