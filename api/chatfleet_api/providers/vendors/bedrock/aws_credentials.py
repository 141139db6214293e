"""Credentials of AWS for signatures: kept while they are valid, fetched again before they expire.

A request waits for a fetch only when there are no valid credentials; before that, one fetch runs beside the requests.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from chatfleet_api.domain.errors import ChatError

logger = logging.getLogger(__name__)

EARLY_SECONDS: Final = 600.0
"""How long before their expiry credentials are fetched again."""
UNUSABLE_SECONDS: Final = 30.0
"""How long before their expiry they are not used any more: a signature must be valid when it arrives."""
PAUSE_SECONDS: Final = 2.0
"""Shortest time between two fetches, also when one has failed or the upstream rejects what it brought."""


class Credentials(NamedTuple):
    """A key pair that signs requests."""

    access_key: str
    secret_key: str
    token: str | None = None
    """Goes with keys that expire."""
    expires: float = float("inf")
    """Unix seconds."""


class CachedCredentials:
    """The newest credentials of a source."""

    def __init__(self, fetch: Callable[[], Awaitable[Credentials]], now: Callable[[], float]) -> None:
        """`fetch` raises `ChatError` when it gets none; `now` is in Unix seconds."""
        self._fetch = fetch
        self._now = now
        self._known: Credentials | None = None
        self._fetching: asyncio.Task[Credentials] | None = None
        self._failure: ChatError | None = None
        """Of the last fetch."""
        self._next = 0.0
        """Unix seconds before which nothing is fetched."""
        self._rejected = False

    async def get(self) -> Credentials:
        """Return valid credentials; raise `ChatError` when there are none."""
        known, now = self._known, self._now()
        remaining = known.expires - now if known else 0.0
        if known and remaining > EARLY_SECONDS and not self._rejected:
            return known
        if self._fetching is None and now >= self._next:
            self._next = now + PAUSE_SECONDS
            self._fetching = asyncio.ensure_future(self._fetch())
            self._fetching.add_done_callback(self._fetched)
        if known and remaining > UNUSABLE_SECONDS and (self._fetching is None or not self._rejected):
            return known
        if self._fetching is None and self._failure:
            raise self._failure
        return await asyncio.shield(self._fetching or asyncio.ensure_future(self._fetch()))

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return what of the newest credentials no message may have."""
        return tuple(filter(None, (self._known.secret_key, self._known.token))) if self._known else ()

    def reject(self) -> None:
        """Fetch again before the next use: the upstream does not accept these."""
        self._rejected = True

    def _fetched(self, task: asyncio.Future[Credentials]) -> None:
        self._fetching = self._failure = None
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self._known, self._rejected = task.result(), False
        elif isinstance(error, ChatError):
            self._failure = error
            logger.warning("AWS credentials were not fetched: %s", error.detail)
