"""What is due: events of a conversation one after the other, and those that failed later. Pure."""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from chatfleet_api.webhooks.queue import Member

FIRST_RETRY_SECONDS: Final = 2.0
MAX_RETRY_SECONDS: Final = 300.0
GIVE_UP_AFTER: Final = timedelta(hours=24)
"""Age at which an event whose delivery fails becomes a dead letter."""


def due(first: Sequence[Member], *, busy: Container[str], retries: Mapping[str, float], now: float) -> Iterator[Member]:
    """Yield the first event of each group that is not busy, nor to be tried again later than `now`."""
    seen: set[str] = set()
    for member in first:
        if member.group in seen:
            continue
        seen.add(member.group)
        if member.group not in busy and retries.get(member.group, now) <= now:
            yield member


def back_off(failures: int, uniform: Callable[[float, float], float]) -> float:
    """Return the seconds until the next attempt after so many failures in a row: exponential, with jitter."""
    longest = min(MAX_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(failures - 1, 30))
    return uniform(longest / 2, longest)


def is_given_up(at: str, now: datetime) -> bool:
    """Return whether an event of the time `at` is not tried again after a failure."""
    return now - datetime.fromisoformat(at) >= GIVE_UP_AFTER
