"""What is left to a caller, in the headers of the vendors."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import TypeAlias

from chatfleet_api.domain.quota import Allowance, Quota

Headers: TypeAlias = list[tuple[bytes, bytes]]
QuotaHeaders: TypeAlias = Callable[[Quota, datetime], Headers]
"""Returns the headers of a dialect, given the time of day."""


def openai_headers(left: Quota, now: datetime) -> Headers:
    """Return `x-ratelimit-*`, with durations as OpenAI writes them: `1m30s`, `250ms`."""
    del now
    return [
        (f"x-ratelimit-{field}-{unit}".encode(), value.encode())
        for unit, allowance in _limited(left)
        for field, value in (
            ("limit", str(allowance.limit)),
            ("remaining", str(allowance.remaining)),
            ("reset", duration(allowance.reset_seconds)),
        )
    ]


def anthropic_headers(left: Quota, now: datetime) -> Headers:
    """Return `anthropic-ratelimit-*`, with times as Anthropic writes them (RFC 3339)."""
    return [
        (f"anthropic-ratelimit-{unit}-{field}".encode(), value.encode())
        for unit, allowance in _limited(left)
        for field, value in (
            ("limit", str(allowance.limit)),
            ("remaining", str(allowance.remaining)),
            ("reset", _instant(now, allowance.reset_seconds)),
        )
    ]


def duration(seconds: float) -> str:
    """Return a duration in milliseconds, or in seconds, minutes and hours, never too short."""
    milliseconds = ceil(seconds * 1000)
    if milliseconds < 1000:  # noqa: PLR2004  # a second
        return f"{milliseconds}ms" if milliseconds else "0s"
    whole = ceil(milliseconds / 1000)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{rest}s"


def _instant(now: datetime, seconds: float) -> str:
    at = now.astimezone(UTC) + timedelta(seconds=ceil(seconds))
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _limited(left: Quota) -> list[tuple[str, Allowance]]:
    return [(unit, each) for unit, each in zip(left._fields, left, strict=True) if each is not None]
