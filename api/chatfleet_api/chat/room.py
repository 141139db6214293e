"""Whether a conversation can have more messages, by `conversations.maxMessages`."""

from typing import Final

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.live import Live

UNLIMITED: Final[Live[int | None]] = Live(lambda: None)


def require_room(most: int | None, known: int, new: int) -> None:
    """Raise `ChatError(CONVERSATION_FULL)` if a conversation with `known` messages cannot have `new` ones more."""
    if most is None or known + new <= most:
        return
    message = (
        f"The conversation would have {known + new} messages; conversations.maxMessages allows {most}."
        " Start a new conversation, or have the limit raised."
    )
    raise ChatError(Code.CONVERSATION_FULL, message)
