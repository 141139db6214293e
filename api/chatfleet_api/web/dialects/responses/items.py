"""Messages of a conversation as items of the OpenAI dialect, and pages of them."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.sessions.store import StoredMessage
from chatfleet_api.web.dialects.responses.ids import MESSAGE

MAX_LIMIT: Final = 100
DEFAULT_LIMIT: Final = 20


def item_of(message: StoredMessage) -> dict[str, Any]:
    """Return a message as an item: as it came, with an id, and with its text in parts."""
    sent: dict[str, Any] = msgspec.json.decode(message.item) if message.item else {}
    status = "completed" if message.status == "complete" else "incomplete"
    item = {"id": MESSAGE + message.id, "type": "message", "status": status, "role": message.role}
    given = {name: value for name, value in sent.items() if value is not None}
    content = given.pop("content", message.content)
    return {**item, **given, "content": [_part(message.role, content)] if isinstance(content, str) else content}


def page(items: Sequence[dict[str, Any]], *, after: str | None, limit: int, newest_first: bool) -> dict[str, Any]:
    """Return a page of a list of items, which are given oldest first.

    Raises `ChatError(INVALID_REQUEST)` when `after` is not the id of one.
    """
    ordered = list(reversed(items)) if newest_first else list(items)
    if after is not None:
        ids = [item["id"] for item in ordered]
        if after not in ids:
            message = "Invalid value for 'after': send the last_id of the page before."
            raise ChatError(Code.INVALID_REQUEST, message, param="after")
        ordered = ordered[ids.index(after) + 1 :]
    shown = ordered[:limit]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": len(ordered) > limit,
    }


def _part(role: str, text: str) -> dict[str, Any]:
    if role == "assistant":
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "input_text", "text": text}
