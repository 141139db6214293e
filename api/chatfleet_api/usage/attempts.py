"""What the attempts of one run have used. Each is noted where it ends, next to its upstream, with the names of both."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import NamedTuple

from chatfleet_api.domain.events import Usage


class Attempt(NamedTuple):
    """One request to an upstream that was answered, at least in part."""

    provider: str
    """Names of the catalogue, and the provider's own name of the model."""
    model: str
    upstream_model: str
    usage: Usage
    wasted: bool = False
    """Whether nothing of it is part of the answer."""


@dataclass(slots=True)
class Attempts:
    """The attempts of one run so far."""

    ended: list[Attempt] = field(default_factory=list)
    accepted: bool = False
    """Whether the upstream has accepted the request that is under way."""


_CURRENT: ContextVar[Attempts | None] = ContextVar("attempts", default=None)


@contextmanager
def noting() -> Iterator[Attempts]:
    """Note the attempts that this task makes within the block."""
    attempts = Attempts()
    before = _CURRENT.set(attempts)
    try:
        yield attempts
    finally:
        _CURRENT.reset(before)


def accepted() -> None:
    """Note that the upstream accepts the request: it is paid from now on."""
    if (attempts := _CURRENT.get()) is not None:
        attempts.accepted = True


def ended(attempt: Attempt) -> None:
    """Note an attempt that ended; one of which nothing came counts if the upstream had accepted it."""
    if (attempts := _CURRENT.get()) is not None:
        if attempts.accepted or not attempt.wasted:
            attempts.ended.append(attempt)
        attempts.accepted = False
