"""What the attempts of one run have used. Each is noted where it ends, next to its upstream, with the names of both."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import NamedTuple

from chatfleet_api.domain.events import Usage
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.domain.usage_estimate import usage_estimate


class Attempt(NamedTuple):
    """One request to an upstream that was answered, at least in part."""

    provider: str
    """Names of the catalogue, and the provider's own name of the model."""
    model: str
    upstream_model: str
    usage: Usage
    wasted: bool = False
    """Whether nothing of it is part of the answer."""
    agent: str = ""
    """Whose part of the answer it is for; empty: no agent's."""


@dataclass(slots=True)
class Attempts:
    """The attempts of one run so far."""

    ended: list[Attempt] = field(default_factory=list)
    accepted: bool = False
    """Whether the upstream has accepted the request that is under way."""
    under_way: "UnderWay | None" = None
    agent: str = ""
    """Whose those are that end from now on."""

    def so_far(self) -> tuple[Attempt, ...]:
        """Return the attempts that are paid, with an estimate of the one under way."""
        now = self.under_way
        return (*self.ended, now.attempt()) if now and (self.accepted or now.items) else tuple(self.ended)


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


def of_agent(name: str) -> None:
    """Note the attempts from now on as those of an agent."""
    if (attempts := _CURRENT.get()) is not None:
        attempts.agent = name


class UnderWay:
    """An attempt that has not ended."""

    __slots__ = ("_input", "_names", "_request", "items")

    def __init__(self, names: tuple[str, str, str], request: ChatRequest) -> None:
        """Name it as an `Attempt`."""
        self._names = names
        self._request = request
        self._input: int | None = None
        self.items = 0
        """That have come of its answer."""

    def attempt(self) -> Attempt:
        """Return it as if it ended now; nothing else is reckoned with each call than what has come."""
        if self._input is None:
            self._input = usage_estimate(self._request, 0).input_tokens
        return Attempt(*self._names, Usage(self._input, self.items, estimated=True), wasted=not self.items)


def begun(names: tuple[str, str, str], request: ChatRequest) -> UnderWay:
    """Note an attempt that begins; return where to count what comes of its answer."""
    under_way = UnderWay(names, request)
    if (attempts := _CURRENT.get()) is not None:
        attempts.under_way = under_way
    return under_way


def accepted() -> None:
    """Note that the upstream accepts the request: it is paid from now on."""
    if (attempts := _CURRENT.get()) is not None:
        attempts.accepted = True


def ended(attempt: Attempt) -> None:
    """Note an attempt that ended; one of which nothing came counts if the upstream had accepted it."""
    if (attempts := _CURRENT.get()) is not None:
        if attempts.accepted or not attempt.wasted:
            attempts.ended.append(attempt._replace(agent=attempts.agent) if attempts.agent else attempt)
        attempts.accepted, attempts.under_way = False, None
