"""The runtime configuration: read from the file that the operator mounts, and again, live, when it changes.

Who depends on it holds a `Live` view and reads the current value when it is needed. The catalogue of models is the only
object that is built from it: once, before a new configuration becomes the current one.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pydantic import ValidationError

from chatfleet_api.domain.live import Live
from chatfleet_api.pod.logs import set_up_logs
from chatfleet_api.providers.catalogue import Catalogue
from chatfleet_contract.runtime import RuntimeConfig, RuntimeProvider, digest_of
from chatfleet_contract.spec import LogFormat, Observability
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model, Retries

POLL_SECONDS: Final = 1.0
"""Time between two reads of the file. The kubelet swaps a link, which a read survives and a file watch may miss."""

ANSWERING: Final = MappingProxyType(
    {
        "default": "story@20",
        "echo": "echo@20",
        "assistant": "assistant@20",
        "tools": "tools",
        "reason": "reason@20",
        "schema": "schema",
        "slow": "story/5@2",
        "refusal": "refuse",
    }
)
"""Models of a process without a configuration, and their scripts."""
FAILING: Final = MappingProxyType(
    {
        "rate-limited": "count-0:upstream_rate_limited",
        "overloaded": "count-0:upstream_overloaded",
        "server-error": "count-0:upstream_error",
        "rejected": "count-0:upstream_rejected",
        "cut": "count-5:upstream_truncated@20",
    }
)
"""The same for models that fail."""

logger = logging.getLogger(__name__)


class ConfigurationError(ValueError):
    """The runtime configuration is invalid; the message names the field or the file."""


def local() -> RuntimeConfig:
    """Return the configuration of a process that was given none: scripted models, no cluster, no API keys."""
    answering = RuntimeProvider(name="scripted", type=ProviderType.SCRIPTED)
    # Of its own, so that the circuit breaker opens for no other model; a first look does not wait for retries.
    failing = RuntimeProvider(name="failing", type=ProviderType.SCRIPTED, retries=Retries(max=0))
    return RuntimeConfig(
        deployment="local",
        namespace="local",
        providers=(answering, failing),
        models=(
            *(Model(name=name, provider=answering.name, model=script) for name, script in ANSWERING.items()),
            *(Model(name=name, provider=failing.name, model=script) for name, script in FAILING.items()),
        ),
        observability=Observability(log_format=LogFormat.TEXT),
    )


def parse(text: str) -> RuntimeConfig:
    """Return the configuration in `text`; raises `ConfigurationError` that names the first wrong field."""
    try:
        return RuntimeConfig.model_validate_json(text)
    except ValidationError as wrong:
        first = wrong.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise ConfigurationError(f"{where}: {first['msg']}") from None


def load(file: Path) -> RuntimeConfig:
    """Return the configuration in `file`; raises `ConfigurationError` with the file's name."""
    return _parse_of(file, _text_of(file))


class Configuration:
    """The configuration that is being served with its catalogue, and why a newer one is not."""

    def __init__(self, config: RuntimeConfig, *, build: Callable[[RuntimeConfig], Catalogue]) -> None:
        """Serve `config`; `build` raises `ValueError` for a configuration whose parts do not fit together.

        Raises:
            ConfigurationError: `config` cannot be built.
        """
        self._build = build
        self.current, self.catalogue = config, self._built(config)
        self.digest = config.digest()
        self.error: str | None = None
        self._text: str | None = None

    @property
    def live(self) -> Live[RuntimeConfig]:
        return Live(lambda: self.current)

    @property
    def live_catalogue(self) -> Live[Catalogue]:
        """A run keeps the provider that it began with, whatever comes after."""
        return Live(lambda: self.catalogue)

    async def watch(self, file: Path) -> None:
        """Serve every valid change of `file`, until cancelled. Runs keep the catalogue that they began with."""
        while True:
            if self.reload(file):
                set_up_logs(self.current.observability)
                logger.info("Serving a new runtime configuration")
            await asyncio.sleep(POLL_SECONDS)

    def reload(self, file: Path) -> bool:
        """Serve what `file` holds if it is new and valid; return whether it was. If not, `error` has the reason."""
        seen, self._text = self._text, None
        try:
            self._text = text = _text_of(file)
            if text == seen:
                return False
            changed = self.replace(_parse_of(file, text))
        except ConfigurationError as error:
            if self.error != str(error):
                logger.warning("The new runtime configuration is invalid, the previous one stays in use: %s", error)
            self.error = str(error)
            return False
        self.digest, self.error = digest_of(text), None
        return changed

    def replace(self, config: RuntimeConfig) -> bool:
        """Serve `config`; return whether it differs from the current one. Raises `ConfigurationError`."""
        if config == self.current:
            return False
        self.current, self.catalogue = config, self._built(config)
        return True

    def _built(self, config: RuntimeConfig) -> Catalogue:
        try:
            return self._build(config)
        except ValueError as error:
            raise ConfigurationError(str(error)) from None


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as unreadable:
        raise ConfigurationError(f"{file} cannot be read: {unreadable.strerror}") from None
    except UnicodeDecodeError as unreadable:
        raise ConfigurationError(f"{file} is not UTF-8: {unreadable.reason}") from None


def _parse_of(file: Path, text: str) -> RuntimeConfig:
    try:
        return parse(text)
    except ConfigurationError as wrong:
        raise ConfigurationError(f"{file} is not valid: {wrong}") from None
