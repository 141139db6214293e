"""Server-sent events as a client reads them (https://html.spec.whatwg.org/multipage/server-sent-events.html). Pure."""

from typing import NamedTuple


class Event(NamedTuple):
    """One event; comments are none."""

    id: str
    name: str
    data: str


class EventParser:
    """Turns the text of a stream, cut anywhere, into events. An event that is not ended by an empty line is none."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes, and return the events that they complete."""
        *whole, self._rest = (self._rest + data).split(b"\n\n")
        events = map(_event, whole)
        return [event for event in events if event is not None]


def _event(block: bytes) -> Event | None:
    fields: dict[str, list[str]] = {}
    for line in block.decode().splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name, []).append(value.removeprefix(" "))
    if "data" not in fields:
        return None
    last = {name: values[-1] for name, values in fields.items()}
    return Event(last.get("id", ""), last.get("event", "message"), "\n".join(fields["data"]))
