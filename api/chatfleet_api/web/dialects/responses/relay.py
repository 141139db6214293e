"""The output of an upstream that has the same API: its events and items, passed on as they came.

Their numbers are the run's. Ids of items are the upstream's, so that its client can send the items back.
"""

from typing import Any, Final, TypeAlias

import msgspec

from chatfleet_api.domain.events import Complete, Terminal
from chatfleet_api.web.sse import json_text

Fields: TypeAlias = dict[str, Any]

TEXT: Final = "response.output_text.delta"
_STATE: Final = ("background", "conversation", "previous_response_id", "store", "metadata")
"""Parameters that are the pod's."""
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


class Relay:
    """What has been passed on of one answer."""

    def __init__(self) -> None:
        self._items: dict[int, Fields] = {}
        self.text_head = b""
        """What stands before the next piece of the newest text, in the vendor's format."""

    def take(self, extra: msgspec.Raw) -> tuple[str, Fields]:
        """Return the type and the fields of an event."""
        event = _decode(extra)
        kind = str(event.pop("type"))
        if kind == TEXT:
            place = {"type": kind, **event, "logprobs": []}
            del place["delta"]
            self.text_head = b"event: " + kind.encode() + b"\ndata: " + json_text(place)[:-1] + b',"delta":'
        elif kind == "response.output_item.done" and isinstance(event.get("item"), dict):
            index = event.get("output_index")
            self._items[index if isinstance(index, int) else len(self._items)] = event["item"]
        return kind, event

    def output(self) -> list[Fields]:
        """Return the items that are whole."""
        return [item for _, item in sorted(self._items.items())]


def completed(ours: Fields, ending: Terminal | None) -> Fields:
    """Return a response with all that its upstream's has, in which what is the pod's goes first."""
    theirs = (ending.extra or {}).get("response") if isinstance(ending, Complete) else None
    if not isinstance(theirs, dict):
        return ours
    own = ("id", "object", "created_at", "completed_at", "status", "error", "model", *_STATE)
    kept = {name: ours[name] for name in own if name in ours}
    details = theirs.get("incomplete_details") or ours["incomplete_details"]
    shown = {name: value for name, value in theirs.items() if value is not None or name not in ours}
    usage = _usage(ours["usage"], theirs.get("usage"))
    output = theirs.get("output") or ours["output"]
    incomplete = details if ours["status"] == "incomplete" else None
    return {**ours, **shown, **kept, "output": output, "usage": usage, "incomplete_details": incomplete}


def _usage(ours: Fields | None, theirs: object) -> Fields | None:
    """Return our counts with all of the upstream's details."""
    if ours is None or not isinstance(theirs, dict):
        return ours
    details = {
        name: {**value, **theirs[name]}
        for name, value in ours.items()
        if isinstance(value, dict) and isinstance(theirs.get(name), dict)
    }
    return {**theirs, **ours, **details}
