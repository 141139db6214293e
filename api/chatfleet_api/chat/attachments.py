"""Attachments of a message: checked, and then an item of the OpenAI dialect, which every model gets in its terms. Pure.

The media type is that of the data: what a client, or a server, states must not contradict it.
"""

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec

from chatfleet_api.chat.items import NewItem, new_item
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.sessions.store import StoredMessage

_SHOWN: Final = 60
_DATA_URL: Final = re.compile(r"data:([^;,]{0,127})((?:;[^;,]{0,127}){0,8}),", re.IGNORECASE)
_IMAGES: Final = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), "image/webp"),
)
_item: Final = msgspec.json.Decoder(dict[str, Any]).decode
_SYNONYMS: Final = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png"}


class Attachment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An image of a message, at an https address or as a data URL. Without `media_type` its data shows the type."""

    type: Literal["image"]
    url: Annotated[str, msgspec.Meta(min_length=1)]
    media_type: Annotated[str, msgspec.Meta(min_length=1, max_length=127)] | None = None


class ShownAttachment(msgspec.Struct, frozen=True, omit_defaults=True):
    """An image of a message, as clients get it: also one that was sent as an item, which may be at an address."""

    type: Literal["image"]
    url: str
    media_type: str | None = None


class Content(NamedTuple):
    """The data of an attachment, and the media type that its source states."""

    stated: str
    data: bytes


def require_count(attachments: Sequence[Attachment], most: int) -> None:
    """Raise `ChatError(INVALID_REQUEST)` for more attachments than a message can have."""
    if len(attachments) > most:
        text = f"Too many attachments: {len(attachments)}. conversations.attachments.maxCount allows {most}."
        raise ChatError(Code.INVALID_REQUEST, text, param="attachments")


def read_data_url(url: str, where: str, max_bytes: int) -> Content:
    """Return what a data URL has, in the field `where`; raise `ChatError(INVALID_REQUEST)`."""
    head = _DATA_URL.match(url)
    if head is None or not head[2].lower().endswith(";base64"):
        raise wrong(where, "send an https address, or data:TYPE;base64,DATA")
    if (len(url) - head.end()) // 4 * 3 > max_bytes + 2:
        raise too_large(where, max_bytes)
    try:
        data = b64decode(url[head.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise wrong(where, "the data is not valid base64; encode it anew") from None
    return Content(head[1], data)


def checked(attachment: Attachment, content: Content, where: str, max_bytes: int) -> Attachment:
    """Return an attachment, in the field `where`, with a data URL of its content.

    Raises `ChatError(INVALID_REQUEST)` for content that is too large, or of another media type than may be sent, or
    than is stated.
    """
    if len(content.data) > max_bytes:
        raise too_large(f"{where}.url", max_bytes)
    kind = _image_type(content.data)
    if kind is None:
        raise wrong(f"{where}.url", "the data is no PNG, JPEG, GIF or WebP image; send one of these")
    for name, stated in (("url", content.stated), ("media_type", attachment.media_type)):
        if stated and _named(stated) not in (kind, "application/octet-stream"):
            raise wrong(f"{where}.{name}", f"it states {_shown(stated)}, but the data is {kind}; state {kind}")
    return Attachment(attachment.type, f"data:{kind};base64,{b64encode(content.data).decode()}", kind)


def question(text: str, attachments: Sequence[Attachment]) -> NewItem:
    """Return a message of the user with checked attachments."""
    parts: list[dict[str, Any]] = [{"type": "input_text", "text": text}]
    parts += [{"type": "input_image", "image_url": each.url, "detail": "auto"} for each in attachments]
    item = {"type": "message", "role": "user", "content": parts}
    return new_item(item, msgspec.json.encode(item).decode(), "attachments")


def attachments_of(message: StoredMessage) -> tuple[ShownAttachment, ...]:
    """Return the images of a message."""
    if "input_image" not in message.item:
        return ()
    parts = _item(message.item).get("content")
    urls = (
        [part.get("image_url") for part in parts if part.get("type") == "input_image"]
        if isinstance(parts, list)
        else []
    )
    return tuple(ShownAttachment("image", url, _media_type(url)) for url in urls if isinstance(url, str))


def wrong(where: str, why: str) -> ChatError:
    """Return the error for a field, with the reason and the remedy."""
    return ChatError(Code.INVALID_REQUEST, f"Invalid value for '{where}': {why}.", param=where)


def too_large(where: str, max_bytes: int) -> ChatError:
    """Return the error for an attachment that is too large."""
    return wrong(where, f"the data has more than {max_bytes} bytes (conversations.attachments.maxBytes); send less")


def _media_type(url: str) -> str | None:
    head = _DATA_URL.match(url)
    return None if head is None else head[1] or None


def _image_type(data: bytes) -> str | None:
    return next((kind for beginning, kind in _IMAGES if beginning.match(data)), None)


def _named(stated: str) -> str:
    name = stated.partition(";")[0].strip().lower()
    return _SYNONYMS.get(name, name)


def _shown(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text[:_SHOWN])
