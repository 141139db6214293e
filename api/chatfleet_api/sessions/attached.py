"""Data in items, such as images, which is kept apart from their text: taken out, and put back byte for byte. Pure.

Only base64 in its one canonical form is taken out: other forms would come back as another text.
"""

import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from chatfleet_api.domain.large import from_base64, to_base64
from chatfleet_api.sessions.store import Attached, StoredMessage

LEAST_CHARACTERS: Final = 1024
"""Shorter data stays in its item."""
DIGEST_WIDTH: Final = 64
"""Of a SHA-256 in hexadecimal digits."""
LOST: Final = "The attachment is no longer stored."
"""Stands in the place of data that Redis has lost, so that the conversation can go on."""
BLANK: Final = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mP4DwABAQEAHLCMmQAAAABJRU5ErkJggg=="
)
"""One white pixel: stands where there has to be an image, as in the result of a call of a computer."""

_MARK: Final = ";base64,"
_LOST_PLACE: Final = f"{_MARK}{LOST}"
_HEAD: Final = re.compile(rf'"data:[^";,\\]{{0,128}}(?:;[^";,\\]{{0,128}}){{0,4}}{_MARK}')
_BASE64: Final = re.compile(r"(?:[A-Za-z0-9+/=_-]++|\\(?:[/nr]|u00))++")
"""Also with escapes: PHP writes each slash as two characters. Those of letters beyond Latin-1 are text."""
_item: Final = msgspec.json.Decoder(dict[str, Any]).decode


class Parted(NamedTuple):
    """A message without its data."""

    message: StoredMessage
    data: Mapping[str, bytes]
    """By digest."""


def parted(message: StoredMessage) -> Parted:
    """Return `message` with the places of its data in the place of the data."""
    if _MARK not in message.item:
        return Parted(message, {})
    item, texts, places, data, end, length = message.item, list[str](), list[Attached](), dict[str, bytes](), 0, 0
    at = 0
    while head := _HEAD.search(item, at):
        at = head.end()
        encoded = item[at : item.find('"', at)]
        decoded = _decoded(encoded)
        if decoded is None:
            continue
        texts.append(item[end:at])
        length += len(texts[-1])
        digest = sha256(decoded).hexdigest()
        places.append(Attached(length, digest, len(decoded)))
        data[digest] = decoded
        at = end = at + len(encoded)
    if not places:
        return Parted(message, {})
    return Parted(replace(message, item="".join((*texts, item[end:])), attached=tuple(places)), data)


def whole(message: StoredMessage, data: Mapping[str, bytes]) -> StoredMessage:
    """Return `message` with its data, as it was before `parted`; what is not in `data` is lost."""
    if not message.attached:
        return message
    texts, end = list[str](), 0
    for place in message.attached:
        found = data.get(place.digest)
        texts += (message.item[end : place.at], LOST if found is None else to_base64(found))
        end = place.at
    item = "".join((*texts, message.item[end:]))
    if any(place.digest not in data for place in message.attached):
        item = _without_lost(item)
    return replace(message, item=item, attached=())


def sizes_of(messages: Iterable[StoredMessage]) -> dict[str, int]:
    """Return the sizes of the data of messages, by digest."""
    return {place.digest: place.size for message in messages for place in message.attached}


def data_size(item: str) -> int:
    """Return how many bytes of data an item has, without decoding it.

    A client decides on the form: what is no data URL as clients write it counts about as much, from 2 KiB on.
    """
    if _MARK not in item:
        return _other_size(item, 0, len(item))
    size = at = 0
    while head := _HEAD.search(item, at):
        size += _other_size(item, at, head.start())
        at = item.index('"', head.end())
        size += (at - head.end()) * 3 // 4 - item.count("=", at - 2, at)
    return size + _other_size(item, at, len(item))


def split(digests: bytes | None) -> list[str]:
    """Return the digests that stand one after another in a text of Redis."""
    text = (digests or b"").decode()
    return [text[first : first + DIGEST_WIDTH] for first in range(0, len(text), DIGEST_WIDTH)]


def _other_size(item: str, at: int, end: int) -> int:
    """Return the size of what looks like base64; looks at one place in 1,024, so that text costs next to nothing."""
    size = 0
    while at < end:
        found = _BASE64.match(item, at, end)
        length = found.end() - at if found else 0
        if length >= LEAST_CHARACTERS:
            size += length * 3 // 4
        at += max(length, LEAST_CHARACTERS)
    return size


def _decoded(text: str) -> bytes | None:
    if len(text) < LEAST_CHARACTERS:
        return None
    try:
        data = from_base64(text)
    except ValueError:
        return None
    return data if to_base64(data) == text else None


def _without_lost(text: str) -> str:
    item = _item(text)
    unseen: list[Any] = [item]
    while unseen:  # not by recursion: a client decides on the depth
        values = unseen.pop()
        for place, value in values.items() if isinstance(values, dict) else enumerate(values):
            if isinstance(values, list) and _is_lost_part(value):
                values[place] = {"type": "input_text", "text": LOST}
            elif _is_lost(value):
                values[place] = BLANK if str(place).endswith("url") else LOST
            elif isinstance(value, dict | list):
                unseen.append(value)
    return msgspec.json.encode(item).decode()


def _is_lost_part(value: object) -> bool:
    return isinstance(value, dict) and (_is_lost(value.get("image_url")) or _is_lost(value.get("file_data")))


def _is_lost(value: object) -> bool:
    return isinstance(value, str) and value.endswith(_LOST_PLACE)
