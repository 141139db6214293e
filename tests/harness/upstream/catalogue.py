"""The client side of a fake upstream: its catalogue, a meter that remembers, and what an answer came to."""

import os
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Usage
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.http.pool import ConnectionPool
from chatfleet_api.providers.catalogue import Catalogue
from chatfleet_api.providers.environment import Environment
from chatfleet_api.providers.policies.instrumented import Meter
from chatfleet_api.providers.provider import AnswerItem, ItemBatch, Provider
from chatfleet_api.providers.registry import Registry
from chatfleet_contract.runtime import RuntimeConfig, RuntimeProvider
from chatfleet_contract.spec.providers import Model
from harness.net import LOOPBACK_EGRESS
from harness.upstream.wires import Wire

AWS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
"""Credentials of the environment, with which providers without an API key sign."""
HELLO = ChatRequest("default", (Message("user", "Hello there."),))


@dataclass
class RecordingMeter:
    """Remembers all that it is told."""

    attempts: list[tuple[str, str, Code | None]] = field(default_factory=list)
    retries: list[tuple[str, str, Code]] = field(default_factory=list)
    first_tokens: list[float] = field(default_factory=list)
    usage: list[Usage] = field(default_factory=list)
    pauses: list[tuple[str, str]] = field(default_factory=list)
    circuits: list[tuple[str, bool]] = field(default_factory=list)

    def attempted(self, provider: str, model: str, code: Code | None) -> None:
        """Remember an attempt."""
        self.attempts.append((provider, model, code))

    def retried(self, provider: str, model: str, code: Code) -> None:
        """Remember a retry."""
        self.retries.append((provider, model, code))

    def first_token(self, provider: str, model: str, seconds: float) -> None:  # noqa: ARG002  # the port's
        """Remember a time to the first token."""
        self.first_tokens.append(seconds)

    def used(self, provider: str, model: str, usage: Usage) -> None:  # noqa: ARG002  # the port's
        """Remember a usage."""
        self.usage.append(usage)

    def paused(self, provider: str, model: str) -> None:
        """Remember a pause."""
        self.pauses.append((provider, model))

    def circuit_open(self, provider: str, is_open: bool) -> None:  # noqa: FBT001  # the port's
        """Remember that a provider's circuit breaker opened or closed."""
        self.circuits.append((provider, is_open))


def provider_of(wire: Wire, url: str, **settings: object) -> RuntimeProvider:
    """Return the settings of the provider `up` that speaks `wire` at `url`; by default it never tries again."""
    common = {"name": "up", "type": wire.type, "baseURL": url + wire.base_path, **wire.settings}
    return RuntimeProvider.model_validate({"retries": {"max": 0}, **common, **settings})


def config_of(*providers: RuntimeProvider, models: Sequence[Model] = ()) -> RuntimeConfig:
    """Return a configuration with `models`, or with `default` that the first of `providers` answers."""
    default = Model(name="default", provider=providers[0].name, model="gpt-x")
    models = tuple(models) or (default,)
    return RuntimeConfig(deployment="d", namespace="n", providers=providers, models=models, egress=LOOPBACK_EGRESS)


def registry_of(meter: Meter, connections: ConnectionPool | None = None) -> Registry:
    """Return a registry on real time; without `connections`, for tests that open none or do not mind."""
    return Registry(Environment(connections or ConnectionPool(), meter, time.monotonic, random.random, environ=AWS))


@asynccontextmanager
async def catalogue_of(config: RuntimeConfig, meter: RecordingMeter | None = None) -> AsyncIterator[Catalogue]:
    """Open the catalogue of `config`."""
    with closing(ConnectionPool()) as connections:
        yield registry_of(meter or RecordingMeter(), connections).catalogue(config)


def key_file(folder: Path, key: str = "k-123") -> str:
    """Write `key` into a file, always of the same age, and return its path."""
    path = folder / "api-key"
    path.write_text(key)
    os.utime(path, (0, 0))
    return str(path)


@dataclass
class Outcome:
    """What a stream brought, and how it ended."""

    batches: list[ItemBatch] = field(default_factory=list)
    error: ChatError | None = None

    @property
    def pieces(self) -> list[AnswerItem]:
        """Return all pieces."""
        return [piece for batch in self.batches for piece in batch]

    @property
    def text(self) -> str:
        """Return the visible text."""
        return "".join(getattr(piece, "text", "") for piece in self.pieces)

    @property
    def code(self) -> Code | None:
        """Return the error's code; None when there was none."""
        return self.error.code if self.error else None


async def ask(provider: Provider, request: ChatRequest = HELLO) -> Outcome:
    """Return what `provider` answers."""
    outcome = Outcome()
    try:
        async with provider.open(request) as batches:
            async for batch in batches:
                outcome.batches.append(batch)
    except ChatError as error:
        outcome.error = error
    return outcome
