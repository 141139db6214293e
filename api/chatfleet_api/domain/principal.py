"""Who a request comes from: passed from the web to the application services, whose stores keep its tenant in keys."""

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeAlias

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.model_names import unknown_model

MAX_USER_CHARACTERS: Final = 256
"""As of a `user_id` of a request."""
_TENANT: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9._@]{0,126}[A-Za-z0-9])?")
"""It is part of keys of Redis: it has no colon and no brace. `spec.access.jwt[].tenant` has the same rule."""


def is_tenant(name: str) -> bool:
    """Return whether a credential can name this tenant."""
    return _TENANT.fullmatch(name) is not None


def is_user(name: str) -> bool:
    """Return whether a credential can name this user."""
    return 1 <= len(name) <= MAX_USER_CHARACTERS


class Grant:
    """What a verified credential allows, until it is revoked. All requests with one credential share it."""

    def __init__(self) -> None:
        self.revoked = False
        self.used: datetime | None = None
        """When a request last had the credential."""
        self._streams: dict[Callable[[], None], None] = {}

    def watch(self, cut: Callable[[], None]) -> None:
        """Call `cut` when the streams of the credential have to end."""
        self._streams[cut] = None

    def forget(self, cut: Callable[[], None]) -> None:
        """Do not call `cut` any more."""
        self._streams.pop(cut, None)

    def revoke(self) -> None:
        """End the streams of the credential."""
        self.revoked = True
        streams, self._streams = self._streams, {}
        for cut in streams:
            cut()


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller. Nothing of one tenant is visible to another."""

    tenant: str = "default"
    """Part of every key of a store."""
    subject: str | None = None
    """Whom the caller's credential names; None: the caller showed none."""
    user: str | None = None
    """The user that the credential names, whose conversations alone are visible; None: all of the tenant's are."""
    any_user: bool = False
    """Whether the credential is that of a service, whose requests may name any user."""
    models: frozenset[str] | None = None
    """Names of the models that the credential allows; None: all."""
    secret: str | None = field(default=None, compare=False)
    """Name of the Secret of the caller's API key, which with `subject` is that of one key alone."""
    grant: Grant | None = field(default=None, compare=False)
    """What ends the streams of a revoked credential; None: nothing does."""

    def user_of(self, user: str | None, param: str = "user_id") -> str | None:
        """Return the user of a request that names `user`: that of the credential, if the caller showed one.

        Raises:
            ChatError: `user`, which the request has in `param`, is not the user of the credential.
        """
        if self.subject is None or self.any_user:
            return user
        if user not in (None, self.user):
            message = f"The value of '{param}' is not the user of the credential; omit it."
            raise ChatError(Code.USER_MISMATCH, message, param=param)
        return self.user

    def may_use(self, model: str) -> bool:
        """Return whether the credential allows a model."""
        return self.models is None or model in self.models

    def require_model(self, model: str) -> None:
        """Raise for a model that the credential does not allow, as for one that does not exist."""
        if not self.may_use(model):
            raise unknown_model(model)


ANONYMOUS: Final = Principal()
"""Every caller, where callers need no credential."""

Authenticate: TypeAlias = Callable[[str, str, Iterable[tuple[bytes, bytes]]], Principal | Awaitable[Principal]]
"""Returns who sends a request, from its method, path and headers; raises `ChatError`."""
