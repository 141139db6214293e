"""Whether a conversation can have more: by `maxMessages`, and `attachments.maxBytesPerConversation`. Pure."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.live import Live
from chatfleet_api.sessions.attached import data_size
from chatfleet_api.sessions.store import StoredMessage
from chatfleet_contract.spec.conversations import Conversations

_REMEDY: Final = "Start a new conversation, or have the limit raised."


class Adding(NamedTuple):
    """What is to be added to a conversation."""

    messages: int = 0
    data: int = 0
    """Bytes of images and files."""
    param: str | None = None
    """The field that has these."""

    @classmethod
    def of(cls, messages: Sequence[StoredMessage], *, answers: int = 0, param: str | None = None) -> "Adding":
        """Return what `messages` add, and answers that have no data."""
        return cls(len(messages) + answers, _data_of(messages), param)


class Room(NamedTuple):
    """What a conversation can have; None: any number."""

    messages: int | None = None
    data: int | None = None
    """Bytes of images and files."""

    def require(self, stored: Sequence[StoredMessage], adding: Adding) -> None:
        """Raise `ChatError(CONVERSATION_FULL)` if a conversation that has `stored` cannot have more."""
        found = len(stored) + adding.messages
        if self.messages is not None and found > self.messages:
            allowed = f"conversations.maxMessages allows {self.messages}"
            message = f"The conversation would have {found} messages; {allowed}. {_REMEDY}"
            raise ChatError(Code.CONVERSATION_FULL, message)
        self.require_data(stored, adding)

    def require_data(self, stored: Sequence[StoredMessage], adding: Adding) -> None:
        """Raise it for images and files alone; text has room also if there are too many of these."""
        if self.data is None or not adding.data:
            return
        found = _data_of(stored) + adding.data
        if found > self.data:
            allowed = f"conversations.attachments.maxBytesPerConversation allows {self.data}"
            message = f"The conversation would have {found} bytes of attachments; {allowed}. {_REMEDY}"
            raise ChatError(Code.CONVERSATION_FULL, message, param=adding.param)


UNLIMITED: Final[Live[Room]] = Live(Room)
NONE: Final = Adding()


def room_of(conversations: Conversations) -> Room:
    """Return the room that the configuration gives to a conversation."""
    return Room(conversations.max_messages, conversations.attachments.max_bytes_per_conversation)


def _data_of(messages: Sequence[StoredMessage]) -> int:
    return sum(data_size(message.item) for message in messages)
