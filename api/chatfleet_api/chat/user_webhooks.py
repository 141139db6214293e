"""The webhooks of users: one each. Their URLs come from users, who are not trusted."""

import base64
from collections.abc import Callable
from datetime import datetime
from typing import Final

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.live import Live
from chatfleet_api.domain.principal import Principal
from chatfleet_api.webhooks.event import owner_of
from chatfleet_api.webhooks.signing import PREFIX
from chatfleet_api.webhooks.user_webhook import MAX_USERS, UserWebhook, UserWebhookStore
from chatfleet_contract.runtime import RuntimeConfig

SECRET_BYTES: Final = 32


class UserWebhooks:
    """Webhooks as users have them, with a credential of their own. Every method raises `ChatError`."""

    def __init__(
        self,
        store: UserWebhookStore | None,
        config: Live[RuntimeConfig],
        *,
        now: Callable[[], datetime],
        random_bytes: Callable[[int], bytes],
        problem_of: Callable[[str], str | None],
    ) -> None:
        """`store` None: there is no Redis; `now` returns the time of day, with zone UTC.

        `problem_of` returns why no request can be sent to a URL.
        """
        self._store, self._config, self._now, self._random_bytes = store, config, now, random_bytes
        self._problem_of = problem_of

    async def get(self, principal: Principal) -> UserWebhook:
        """Return the webhook of the caller."""
        store, owner = self._of(principal)
        if (found := await store.get(owner)) is None:
            raise ChatError(Code.NOT_FOUND, "You have no webhook.")
        return found

    async def put(self, principal: Principal, url: str, *, inactive_after: int | None = None) -> UserWebhook:
        """Store the webhook of the caller, with a new secret.

        `inactive_after`: seconds without the caller after which it is notified of an answer; None: of each answer.
        """
        store, owner = self._of(principal)
        if problem := self._problem_of(url):
            raise ChatError(Code.INVALID_REQUEST, f"Invalid value for 'url': {problem}.", param="url")
        secret = PREFIX + base64.b64encode(self._random_bytes(SECRET_BYTES)).decode()
        made = UserWebhook(url, secret, self._now().isoformat(timespec="milliseconds"), inactive_after)
        if not await store.put(owner, made):
            message = f"The ChatDeployment has {MAX_USERS} webhooks of users, and takes no more."
            raise ChatError(Code.INVALID_REQUEST, message)
        return made

    async def delete(self, principal: Principal) -> None:
        """Delete the webhook of the caller, if there is one: events that wait are not sent."""
        store, owner = self._of(principal)
        await store.delete(owner)

    def _of(self, principal: Principal) -> tuple[UserWebhookStore, str]:
        if self._store is None or not self._config().conversations.user_webhooks:
            raise ChatError(Code.NOT_FOUND, "This ChatDeployment has no webhooks of users.")
        if principal.user is None:
            message = "A webhook is that of a user; send the credential of one."
            raise ChatError(Code.PERMISSION_DENIED, message)
        return self._store, owner_of(principal.tenant, principal.user)
