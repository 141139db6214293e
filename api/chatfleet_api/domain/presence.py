"""Which users are present: those who have a request in progress. A task knows the request that it is a part of."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class Presence(Protocol):
    """Takes note of users who are present."""

    def wanted(self) -> bool:
        """Return whether it matters who is present."""
        ...

    def enter(self, tenant: str, user: str) -> None:
        """Note that a request of a user has begun."""
        ...

    def leave(self, tenant: str, user: str) -> None:
        """Note that a request has ended that has entered."""
        ...


class Visit:
    """One request until its end, and whose it is: known from its credential, or later from what it names."""

    __slots__ = ("_ended", "_presence", "_users")

    def __init__(self, presence: Presence) -> None:
        self._presence = presence
        self._users: set[tuple[str, str]] = set()
        self._ended = False

    def note(self, tenant: str, user: str | None) -> None:
        """Note that it is a request of `user`; no effect after its end, when a run that it has begun still lasts."""
        if user and not self._ended and (tenant, user) not in self._users:
            self._users.add((tenant, user))
            self._presence.enter(tenant, user)

    def end(self) -> None:
        """Note its end."""
        self._ended = True
        for tenant, user in self._users:
            self._presence.leave(tenant, user)
        self._users.clear()


_VISIT: ContextVar[Visit | None] = ContextVar("visit", default=None)


def visit() -> Visit | None:
    """Return the request that this task is a part of; None: it is of none, or it does not matter who is present."""
    return _VISIT.get()


def note(tenant: str, user: str | None) -> None:
    """Note that this request, if it matters, is one of `user`."""
    if (known := _VISIT.get()) is not None:
        known.note(tenant, user)


@contextmanager
def visiting(presence: Presence) -> Generator[Visit, None, None]:
    """Take the block for one request."""
    made = Visit(presence)
    token = _VISIT.set(made)
    try:
        yield made
    finally:
        _VISIT.reset(token)
        made.end()
