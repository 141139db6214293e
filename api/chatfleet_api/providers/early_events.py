"""What comes before the first content of an answer: held back, since a failure can still be tried again."""

from chatfleet_api.domain.events import Extended
from chatfleet_api.providers.provider import StreamItem


class EarlyEvents:
    """Holds events in the client's own dialect until there is content."""

    __slots__ = ("_held", "has_content")

    def __init__(self) -> None:
        self._held: list[Extended] = []
        self.has_content = False

    def release(self, items: list[StreamItem], *, is_content: bool, ends: bool) -> None:
        """Append what was held back to `items`, if content comes next or the end."""
        if self._held and (is_content or ends):
            items += self._held
            self._held = []
        self.has_content = self.has_content or is_content

    def append(self, event: Extended, items: list[StreamItem]) -> None:
        """Append an event to `items`, or hold it back."""
        (items if self.has_content else self._held).append(event)
