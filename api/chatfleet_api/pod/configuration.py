"""The runtime configuration: read from the file that the operator mounts, and taken again, live, when it changes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from chatfleet_contract.providers import Model, ProviderType
from chatfleet_contract.runtime import RuntimeConfig, RuntimeProvider, digest_of
from chatfleet_contract.spec import LogFormat, Observability

POLL_SECONDS: Final = 1.0
"""Time between two looks at the file. The kubelet swaps a link, which a look survives and a file watch may miss."""

logger = logging.getLogger(__name__)


class ConfigurationError(ValueError):
    """The runtime configuration cannot be used; the message says what is wrong with it."""


def first_look() -> RuntimeConfig:
    """Return the configuration of a server that was given none: scripted answers, no cluster, no keys."""
    return RuntimeConfig(
        deployment="local",
        namespace="local",
        providers=(RuntimeProvider(name="scripted", type=ProviderType.SCRIPTED),),
        models=(
            Model(name="default", provider="scripted", model="story@20"),
            Model(name="echo", provider="scripted", model="echo@20"),
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
    """The configuration that is being served, and why a newer one is not."""

    def __init__(self, config: RuntimeConfig) -> None:
        self.current = config
        self.digest = config.digest()
        self.error: str | None = None
        self._seen: str | None = None

    async def watch(self, file: Path, apply: Callable[[RuntimeConfig], Awaitable[None]]) -> None:
        """Serve every good change of `file`, by `apply`, until cancelled; `apply` may raise `ConfigurationError`."""
        while True:
            await self.look(file, apply)
            await asyncio.sleep(POLL_SECONDS)

    async def look(self, file: Path, apply: Callable[[RuntimeConfig], Awaitable[None]]) -> None:
        """Look at `file` once: serve what it says if that is new and good, else go on as before and remember why."""
        seen, self._seen = self._seen, None
        try:
            self._seen = text = _text_of(file)
            if text != seen:
                await self._serve(_parse_of(file, text), apply)
                self.digest = digest_of(text)
                self.error = None
        except ConfigurationError as wrong:
            if self.error != str(wrong):
                logger.warning("the runtime configuration is not taken, the one before is served on: %s", wrong)
            self.error = str(wrong)

    async def _serve(self, config: RuntimeConfig, apply: Callable[[RuntimeConfig], Awaitable[None]]) -> None:
        if config != self.current:
            await apply(config)
            self.current = config
            logger.info("serving a new runtime configuration")


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
