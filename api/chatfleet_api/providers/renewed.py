"""Credentials that expire: kept while they are valid, fetched again before their end.

A request waits for a fetch only when there are no valid credentials; before that, one fetch runs beside the requests,
and the old credentials serve until their end.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from chatfleet_api.domain.errors import ChatError

logger = logging.getLogger(__name__)

EARLY_SECONDS: Final = 600.0
"""How long before their end credentials are fetched again, at least; of those with a short life, a third of it."""
JITTER: Final = 0.5
"""Share of that by which it is earlier at random, so that the pods of a fleet do not all fetch at once."""
UNUSABLE_SECONDS: Final = 30.0
"""How long before their end they are not used any more, at most: they must be valid when the request arrives."""
PAUSE_SECONDS: Final = 2.0
"""Shortest time between two fetches; it doubles with each one that fails."""
LONGEST_PAUSE_SECONDS: Final = 15.0


class Expiring(Protocol):
    """Credentials with an end."""

    @property
    def expires(self) -> float:
        """Return the end, in Unix seconds."""
        ...

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return what no message may have."""
        ...


_T = TypeVar("_T", bound=Expiring)


class Margins(NamedTuple):
    """When credentials are due, in Unix seconds."""

    renewed: float
    """From then on they are fetched again."""
    unusable: float
    """From then on they are not used."""

    @classmethod
    def of(cls, expires: float, now: float, jitter: float) -> "Margins":
        """Return the margins of credentials that were fetched `now`; `jitter` is from 0 to 1."""
        lifetime = expires - now
        early = min(EARLY_SECONDS, lifetime / 3) * (1 + JITTER * jitter)
        return cls(expires - early, expires - min(UNUSABLE_SECONDS, lifetime / 10))


class Renewed(Generic[_T]):
    """The newest credentials of a source."""

    def __init__(
        self, fetch: Callable[[], Awaitable[_T]], now: Callable[[], float], rand: Callable[[], float], *, name: str
    ) -> None:
        """`fetch` raises `ChatError` when it gets none; `now` is in Unix seconds; `name` is for the log."""
        self._fetch = fetch
        self._now = now
        self._rand = rand
        self._name = name
        self._known: _T | None = None
        self._margins = Margins(0, 0)
        self._fetching: asyncio.Task[_T] | None = None
        self._failure: ChatError | None = None
        """Of the last fetch."""
        self._failures = 0
        """In a row."""
        self._next = 0.0
        """Unix seconds before which nothing is fetched while there is something to use, or a failure to report."""
        self._rejected = False

    async def get(self) -> _T:
        """Return valid credentials; raise `ChatError` when there are none."""
        known, now = self._known, self._now()
        if known and now < self._margins.renewed and not self._rejected:
            return known
        usable = known is not None and now < self._margins.unusable
        if self._fetching is None and (now >= self._next or not (usable or self._failure)):
            self._next = now + PAUSE_SECONDS
            self._fetching = asyncio.ensure_future(self._fetch())
            self._fetching.add_done_callback(self._fetched)
        if known and usable and (self._fetching is None or not self._rejected):
            return known
        if self._fetching is None and self._failure:
            raise self._failure
        assert self._fetching  # noqa: S101  # begun above
        return await asyncio.shield(self._fetching)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return what of the newest credentials no message may have."""
        return self._known.secrets if self._known else ()

    @property
    def failure(self) -> str | None:
        """Return why the last fetch failed; None: it did not."""
        return (self._failure.detail or self._failure.message) if self._failure else None

    def reject(self) -> None:
        """Fetch again before the next use: the upstream does not accept these."""
        self._rejected = True

    def _fetched(self, task: asyncio.Future[_T]) -> None:
        self._fetching = self._failure = None
        if task.cancelled():
            return
        error, now = task.exception(), self._now()
        if error is None:
            self._known, self._rejected, self._failures = task.result(), False, 0
            self._margins = Margins.of(self._known.expires, now, self._rand())
        elif isinstance(error, ChatError):
            self._failure = error
            pause = min(PAUSE_SECONDS * 2.0**self._failures, LONGEST_PAUSE_SECONDS)
            self._next = now + pause * (1 + JITTER * self._rand())
            self._failures += 1
            logger.warning("%s: %s", self._name, error.detail)
