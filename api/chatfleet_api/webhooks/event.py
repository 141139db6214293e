"""An event, and the notice of it that is queued for each webhook that wants it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import msgspec

from chatfleet_contract.runtime import RuntimeWebhook
from chatfleet_contract.spec.webhooks import WebhookEvent

USERS: Final = "@users"
"""Name of the queue of the webhooks of users: no webhook of the resource can have it."""
MAX_CONTENT: Final = 16_384
"""Characters of an answer that are sent, so that a full queue has a bound."""
ENDS: Final = frozenset({WebhookEvent.STREAM_COMPLETE, WebhookEvent.RUN_INTERRUPTED})
"""Events of answers that have ended."""
_encode: Final = msgspec.json.Encoder().encode


class HookEvent(NamedTuple):
    """Something that has happened."""

    id: str
    """Unique, and the same each time that it is sent."""
    kind: WebhookEvent
    group: str
    """Its conversation, or its run where it has none: events of a group arrive in order."""
    at: str
    """RFC 3339, UTC."""
    data: Mapping[str, Any]
    content: Mapping[str, Any]
    """What only webhooks with `content` get."""
    owner: str = ""
    """The user whose webhook gets it, as `owner_of` writes it; empty: none does."""


class QueuedEvent(msgspec.Struct, frozen=True):
    """An event in the queue of a webhook."""

    at: str
    """Since when it is to be sent: when it happened, or was replayed."""
    body: str


class Held(NamedTuple):
    """An event that is held until the user of its answer is inactive."""

    owner: str
    """The user, as `owner_of` writes it."""
    entries: Sequence[tuple[str, int, str]]
    """Name of the webhook, the seconds for which the user is to be inactive, and the event as its queue has it.

    For the user's own webhook, the user has set these seconds.
    """


class Notice(NamedTuple):
    """An event for the queues of webhooks."""

    id: str
    group: str
    entries: Sequence[tuple[str, str]]
    """Name of the webhook, and the event as its queue has it."""
    own: tuple[str, str] | None = None
    """A user, who may have a webhook, and the event as its queue has it."""
    held: Held | None = None


def notice_of(
    event: HookEvent, webhooks: Sequence[RuntimeWebhook], *, account: str, users: bool = False, left: bool = False
) -> Notice | None:
    """Return the notice of an event of the ChatDeployment `account`; None: no webhook wants it.

    `users`: whether users may have webhooks. `left`: whether its user, as far as is known, is not present.
    """
    entries = [
        (webhook.name, _queued(event, account, content=webhook.content))
        for webhook in webhooks
        if event.kind in webhook.events
    ]
    own = (event.owner, _queued(event, account, content=False)) if users and event.owner else None
    held = _held(event, webhooks, account, users=users) if left and event.owner and event.kind in ENDS else None
    return Notice(event.id, event.group, entries, own, held) if entries or own or held else None


def _held(event: HookEvent, webhooks: Sequence[RuntimeWebhook], account: str, *, users: bool) -> Held | None:
    inactive = event._replace(kind=WebhookEvent.USER_INACTIVE)
    entries = [
        (webhook.name, webhook.inactive_after, _queued(inactive, account, content=webhook.content))
        for webhook in webhooks
        if WebhookEvent.USER_INACTIVE in webhook.events
    ]
    if users:
        entries.append((USERS, 0, _queued(inactive, account, content=False)))
    return Held(event.owner, entries) if entries else None


def _queued(event: HookEvent, account: str, *, content: bool) -> str:
    data = {"chatdeployment": account, **event.data, **(event.content if content else {})}
    body = {"type": event.kind.value, "timestamp": event.at, "data": data}
    return _encode(QueuedEvent(event.at, _encode(body).decode())).decode()


def owner_of(tenant: str, user: str) -> str:
    """Return a user as keys have it: no two tenants share one."""
    return f"{quote(tenant, safe='')}/{quote(user, safe='')}"


def bounded(text: str) -> dict[str, Any]:
    """Return the text of an answer as the field `content`, and whether it was cut."""
    return {"content": text[:MAX_CONTENT], "content_truncated": len(text) > MAX_CONTENT}
