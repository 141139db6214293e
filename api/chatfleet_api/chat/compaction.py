"""A conversation as a summary by the model itself, which stands for what was before it. Pure."""

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import CHAT, ChatRequest, Message
from chatfleet_api.domain.seals import SUMMARY, summary_of
from chatfleet_api.sessions.store import StoredMessage, Summary

_REQUEST: Final = (
    "Write a summary of this conversation, which will replace it. Keep what is needed to go on without it: what the"
    " user wants, decisions and their reasons, facts, names, numbers, results of tools, and what is still open. Write"
    " the summary alone, without an answer to the last message."
)

_HEADING: Final = "Summary of the conversation until here:"


def summary_request(request: ChatRequest) -> ChatRequest:
    """Return the request for a summary of the messages of `request`.

    Raises `ChatError(INVALID_REQUEST)` for an item that no model can get in the common terms.
    """
    for part in request.sent.untranslated if request.sent else ():
        if CHAT not in part.known_to:
            raise ChatError(Code.INVALID_REQUEST, part.message, param=part.param)
    return ChatRequest(
        request.model,
        (*(replace(message, thoughts=None) for message in request.messages), Message("user", _REQUEST)),
        max_tokens=request.max_tokens,
        user=request.user,
    )


def stands_for(summary: Summary | None, path: Sequence[StoredMessage]) -> int:
    """Return the number of messages at the beginning of `path` that `summary` stands for; 0: none, or no longer."""
    place = next((at for at, message in enumerate(path, 1) if summary and message.id == summary.last), 0)
    there = sum(not message.removed for message in path[:place])
    return place if summary and there == summary.messages else 0


def summarised(summary: Summary) -> Message:
    """Return what a model gets in the place of the messages that `summary` stands for."""
    return Message("user", f"{_HEADING}\n\n{summary.text}")


def sealed_summary(text: str) -> str:
    """Return a summary as `encrypted_content`, which clients keep and send back."""
    return SUMMARY + urlsafe_b64encode(text.encode()).decode()


def summary_message(encrypted: str) -> Message | None:
    """Return what a model gets of a summary that `sealed_summary` wrote; None when it is another vendor's."""
    text = summary_of(encrypted)
    return None if text is None else Message("user", text)
