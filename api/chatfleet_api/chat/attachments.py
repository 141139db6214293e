"""Attachments of a message: checked, and then an item of the OpenAI dialect, which every model gets in its terms. Pure.

The media type is that of the data: what a client, or a server, states must not contradict it.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec

from chatfleet_api.chat.items import NewItem, new_item
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.large import from_base64, to_base64
from chatfleet_api.domain.request import ChatRequest, FilePart
from chatfleet_api.sessions.store import StoredMessage

UNNAMED: Final = "document.pdf"
"""Name of a file that has none: vendors want one."""

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
    """An image or a PDF, at an https address or as a data URL. Without `media_type` the data shows its type."""

    type: Literal["image", "file"]
    url: Annotated[str, msgspec.Meta(min_length=1)]
    media_type: Annotated[str, msgspec.Meta(min_length=1, max_length=127)] | None = None
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] | None = None
    """Of a file."""


class ShownAttachment(msgspec.Struct, frozen=True, omit_defaults=True):
    """An attachment as clients get it: also one that was sent as an item, which may be at an address."""

    type: Literal["image", "file"]
    url: str
    media_type: str | None = None
    name: str | None = None


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
        data = from_base64(url[head.end() :])
    except ValueError:
        raise wrong(where, "the data is not valid base64; encode it anew") from None
    return Content(head[1], data)


def checked(attachment: Attachment, content: Content, where: str, max_bytes: int) -> Attachment:
    """Return an attachment, in the field `where`, with a data URL of its content.

    Raises `ChatError(INVALID_REQUEST)` for content that is too large, or of another media type than may be sent, or
    than is stated.
    """
    if len(content.data) > max_bytes:
        raise too_large(f"{where}.url", max_bytes)
    if attachment.name is not None and (attachment.type == "image" or not attachment.name.isprintable()):
        raise wrong(f"{where}.name", "only a file has a name, of printable characters")
    kind = _media_type_of(attachment.type, content.data)
    if kind is None:
        wanted = "a PNG, JPEG, GIF or WebP image" if attachment.type == "image" else "a PDF"
        raise wrong(f"{where}.url", f"the data is not {wanted}; send one")
    for name, stated in (("url", content.stated), ("media_type", attachment.media_type)):
        if stated and _named(stated) not in (kind, "application/octet-stream"):
            raise wrong(f"{where}.{name}", f"it states {_shown(stated)}, but the data is {kind}; state {kind}")
    url = f"data:{kind};base64,{to_base64(content.data)}"
    return Attachment(attachment.type, url, kind, attachment.name)


def question(text: str, attachments: Sequence[Attachment]) -> NewItem:
    """Return a message of the user with checked attachments."""
    parts: list[dict[str, Any]] = [{"type": "input_text", "text": text}]
    parts += map(_part, attachments)
    item = {"type": "message", "role": "user", "content": parts}
    return new_item(item, msgspec.json.encode(item).decode(), "attachments")


def _part(attachment: Attachment) -> dict[str, Any]:
    if attachment.type == "image":
        return {"type": "input_image", "image_url": attachment.url, "detail": "auto"}
    return {"type": "input_file", "filename": attachment.name or UNNAMED, "file_data": attachment.url}


def attachments_of(message: StoredMessage) -> tuple[ShownAttachment, ...]:
    """Return the images and files of a message."""
    if not any(kind in message.item for kind in ("input_image", "input_file")):
        return ()
    parts = _item(message.item).get("content")
    shown = [_shown_part(part) for part in parts] if isinstance(parts, list) else []
    return tuple(each for each in shown if each is not None)


def _shown_part(part: dict[str, Any]) -> ShownAttachment | None:
    kind, url = part.get("type"), part.get("image_url")
    if kind == "input_image" and isinstance(url, str):
        return ShownAttachment("image", url, _media_type(url))
    url, name = part.get("file_data") or part.get("file_url"), part.get("filename")
    if kind == "input_file" and isinstance(url, str):
        return ShownAttachment("file", url, _media_type(url), name if isinstance(name, str) else None)
    return None


def has_files(request: ChatRequest) -> bool:
    """Return whether a request has a file, which not every upstream takes."""
    contents = (message.content for message in request.messages if isinstance(message.content, list))
    return any(isinstance(part, FilePart) for content in contents for part in content)


def own_field(request: ChatRequest) -> str | None:
    """Return the field of our own API for a file that `request` has; None: it is of an earlier turn."""
    return "attachments" if has_files(request) else None


def wrong(where: str, why: str) -> ChatError:
    """Return the error for a field, with the reason and the remedy."""
    return ChatError(Code.INVALID_REQUEST, f"Invalid value for '{where}': {why}.", param=where)


def too_large(where: str, max_bytes: int) -> ChatError:
    """Return the error for an attachment that is too large."""
    return wrong(where, f"the data has more than {max_bytes} bytes (conversations.attachments.maxBytes); send less")


def _media_type(url: str) -> str | None:
    head = _DATA_URL.match(url)
    return None if head is None else head[1] or None


def _media_type_of(kind: Literal["image", "file"], data: bytes) -> str | None:
    if kind == "file":
        return "application/pdf" if data.startswith(b"%PDF-") else None
    return next((kind for beginning, kind in _IMAGES if beginning.match(data)), None)


def _named(stated: str) -> str:
    name = stated.partition(";")[0].strip().lower()
    return _SYNONYMS.get(name, name)


def _shown(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text[:_SHOWN])
