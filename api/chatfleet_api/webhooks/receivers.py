"""Where the events of a queue are sent: to the webhook of the resource, or to those of users."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from chatfleet_api.webhooks.event import USERS
from chatfleet_api.webhooks.queue import Member
from chatfleet_api.webhooks.signing import NoSecretError, parse_secret, read_secrets
from chatfleet_api.webhooks.user_webhook import UserWebhookStore
from chatfleet_contract.runtime import RuntimeWebhook

MAX_CONCURRENT: Final = 8
"""Requests to one receiver at a time."""
MAX_CONCURRENT_OF_USERS: Final = 64
"""Requests to all receivers of users at a time: one to each."""


class Target(NamedTuple):
    """Where an event is sent, and the secrets that sign it."""

    url: str
    secrets: Sequence[bytes]


class Receiver(Protocol):
    """Whom the events of one queue are for."""

    @property
    def name(self) -> str: ...
    @property
    def concurrent(self) -> int:
        """Groups that are sent at a time."""
        ...

    @property
    def of_users(self) -> bool:
        """Whether URLs come from users: the guard refuses more."""
        ...

    async def target(self, member: Member) -> Target | None:
        """Return where an event is sent, None: nowhere any more; raises `NoSecretError` and `ChatError`."""
        ...

    def missing(self) -> str | None:
        """Return why nothing can be signed; None: it can."""
        ...


class ResourceReceiver:
    """A webhook of the ChatDeployment."""

    concurrent = MAX_CONCURRENT
    of_users = False

    def __init__(self, webhook: RuntimeWebhook) -> None:
        self.webhook = webhook
        self.name = webhook.name

    async def target(self, member: Member) -> Target | None:  # noqa: ARG002  # all events have one receiver
        """Return the URL with the secrets as they are now."""
        return Target(self.webhook.url, read_secrets(Path(self.webhook.secrets_folder)))

    def missing(self) -> str | None:
        """Look whether there is a secret."""
        try:
            read_secrets(Path(self.webhook.secrets_folder))
        except NoSecretError as error:
            return str(error)
        return None


class UserReceivers:
    """The webhooks of users: the group of an event is its user."""

    name = USERS
    concurrent = MAX_CONCURRENT_OF_USERS
    of_users = True

    def __init__(self, store: UserWebhookStore) -> None:
        self._store = store

    async def target(self, member: Member) -> Target | None:
        """Return the webhook of the user; None: it was deleted, and its events go nowhere."""
        found = await self._store.get(member.group)
        return None if found is None else Target(found.url, [parse_secret(found.secret)])

    def missing(self) -> str | None:
        """Find nothing missing: each has a secret."""
        return None
