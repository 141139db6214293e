"""The webhook of a user, and what stores those of all."""

from typing import Final, Protocol

import msgspec

MAX_USERS: Final = 10_000
"""Webhooks of users of one ChatDeployment."""


class UserWebhook(msgspec.Struct, frozen=True):
    """The webhook of a user."""

    url: str
    secret: str
    created_at: str
    inactive_after_seconds: int | None = None
    """None: it gets the end of each answer; else those that its user was not there for, nor after them for so long."""


class UserWebhookStore(Protocol):
    """Has the webhooks by user, as `owner_of` writes it."""

    async def get(self, owner: str) -> UserWebhook | None:
        """Return the webhook of a user."""
        ...

    async def put(self, owner: str, webhook: UserWebhook) -> bool:
        """Store a webhook in the place of an older one; returns whether there was room."""
        ...

    async def delete(self, owner: str) -> None:
        """Delete the webhook of a user, if there is one."""
        ...
