"""What can go wrong at the API server, named by the action of the caller."""

from enum import Enum
from typing import Final, NamedTuple

MAX_MESSAGE: Final = 256
"""Longest message taken over from a server, so that logs and conditions stay readable and nothing large leaks."""


class ClusterError(Exception):
    """The API server did not do what was requested."""


class Retry(ClusterError):  # noqa: N818  # named by the action of the caller
    """Try again later: the cause is transient (network, overload, conflict)."""

    def __init__(self, message: str, after: float = 0.0) -> None:
        super().__init__(truncate(message))
        self.after = after


class RefusalReason(Enum):
    REJECTED = "rejected"
    """By validation, admission, quota or RBAC; the message is the server's own."""
    NO_KIND = "no kind"
    """The cluster does not serve the kind: its CustomResourceDefinition is not installed."""


class Refusal(NamedTuple):
    """A refused request, as a value."""

    message: str
    reason: RefusalReason = RefusalReason.REJECTED


class Refused(ClusterError):  # noqa: N818  # named by what happened to the caller
    """A retry cannot succeed until an object changes."""

    def __init__(self, message: str, reason: RefusalReason = RefusalReason.REJECTED) -> None:
        super().__init__(truncate(message))
        self.refusal = Refusal(truncate(message), reason)


def truncate(message: str) -> str:
    """Return `message` in one line of at most `MAX_MESSAGE` characters."""
    line = " ".join(message.split())
    return line if len(line) <= MAX_MESSAGE else line[: MAX_MESSAGE - 1] + "…"
