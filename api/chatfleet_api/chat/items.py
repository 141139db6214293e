"""Items of the OpenAI dialect: messages of text and images, also those that an earlier answer gave back.

They are stored as they came, and become what a model gets with each turn.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import ImagePart, ImageURL, Message, TextPart
from chatfleet_api.sessions.store import StoredMessage


class InputText(msgspec.Struct, frozen=True, tag_field="type", tag="input_text"):
    """Text within a message of the input."""

    text: str


class OutputText(msgspec.Struct, frozen=True, tag_field="type", tag="output_text"):
    """Text that an earlier answer gave."""

    text: str


class Refusal(msgspec.Struct, frozen=True, tag_field="type", tag="refusal"):
    """Text of an earlier answer that refused."""

    refusal: str


class InputImage(msgspec.Struct, frozen=True, tag_field="type", tag="input_image"):
    """An image by URL or data URL."""

    image_url: str | None = None
    detail: Literal["auto", "low", "high", "original"] | None = None
    file_id: Any = None  # decoded only to be rejected


_Part: TypeAlias = InputText | OutputText | Refusal | InputImage


class InputMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One message of the input, also one that an earlier answer gave back."""

    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[_Part]
    type: Literal["message"] | None = None
    id: str | None = None
    status: str | None = None
    phase: str | None = None


class NewItem(NamedTuple):
    """One item that was sent."""

    message: Message
    item: str = ""
    """As it came, JSON; empty: it came as text."""

    def stored(self, message_id: str, now: str) -> StoredMessage:
        """Return it as it is stored."""
        return StoredMessage(message_id, self.message.role, text_of(self.message), now, item=self.item)


_item: Final = msgspec.json.Decoder(InputMessage)


def messages_of(items: Sequence[InputMessage], *, where: str = "input") -> list[Message]:
    """Return the messages, which the request has in its field `where`, as a model gets them.

    Raises `ChatError(INVALID_REQUEST)`, with the field, for an image that is in no address.
    """
    return [Message(item.role, _content(item.content, f"{where}[{position}]")) for position, item in enumerate(items)]


def message_of(item: str) -> Message:
    """Return a stored item, which `messages_of` has accepted, as a model gets it."""
    (message,) = messages_of([_item.decode(item)])
    return message


def text_of(message: Message) -> str:
    """Return the text of a message, without its images."""
    if message.content is None or isinstance(message.content, str):
        return message.content or ""
    return "".join(part.text for part in message.content if isinstance(part, TextPart))


def _content(content: str | list[_Part], where: str) -> str | list[TextPart | ImagePart]:
    if isinstance(content, str):
        return content
    parts = [_part(part, f"{where}.content[{position}]") for position, part in enumerate(content)]
    texts = [part.text for part in parts if isinstance(part, TextPart)]
    return "".join(texts) if len(texts) == len(parts) else parts


def _part(part: _Part, where: str) -> TextPart | ImagePart:
    if isinstance(part, Refusal):
        return TextPart(part.refusal)
    if not isinstance(part, InputImage):
        return TextPart(part.text)
    if part.file_id is not None:
        remedy = f"Files are not supported. Send the image in '{where}.image_url'."
        raise ChatError(
            Code.INVALID_REQUEST, f"Unsupported value: '{where}.file_id'. {remedy}", param=f"{where}.file_id"
        )
    if part.image_url is None:
        message = f"Missing required parameter: '{where}.image_url'. Set it to an address or a data URL."
        raise ChatError(Code.INVALID_REQUEST, message, param=f"{where}.image_url")
    return ImagePart(ImageURL(part.image_url, part.detail))
