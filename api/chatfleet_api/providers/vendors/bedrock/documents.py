"""Files in chat completions as documents of Converse, which the common terms do not have. Pure.

A part of a message that the common terms lack has an empty text in its place. Here it gets a mark instead, which
becomes the document when the conversation is translated.
"""

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec
from msgspec.structs import replace

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import CHAT, ChatRequest, Message, TextPart
from chatfleet_api.providers.files import document_name
from chatfleet_api.providers.own_dialect import sent_in

Documents: TypeAlias = Mapping[str, dict[str, Any]]
"""Blocks of Converse by the path of the part in the client's request."""

_PART: Final = re.compile(r"messages\[(\d+)\]\.content\[(\d+)\]")
_DATA_URL: Final = re.compile(r"data:([^;,]*)(?:;[^;,]*)*;base64,", re.IGNORECASE)
_MARK: Final = "\0document "
_FORMATS: Final = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
_ROLES: Final = ("user", "tool")

_messages: Final = msgspec.json.Decoder(dict[str, Any]).decode


class _File(msgspec.Struct):
    file_data: str | None = None
    filename: str | None = None


def documents_of(request: ChatRequest) -> Documents:
    """Return the files that a chat completion has; raise `ChatError(INVALID_REQUEST)` for one without usable data."""
    sent = sent_in(CHAT, request)
    places = [part.param for part in sent.untranslated if _PART.fullmatch(part.param)] if sent else []
    if sent is None or not places:
        return {}
    messages = _messages(sent.body)["messages"]
    blocks: dict[str, dict[str, Any]] = {}
    for where, part in _files(places, messages):
        try:
            file = msgspec.convert(part.get("file"), _File)
        except msgspec.ValidationError as error:
            raise _refused(where, f"is not a file: {error}; send file_data") from error
        blocks[where] = _block(file, where, len(blocks))
    return blocks


def marked(messages: Sequence[Message], documents: Documents) -> list[Message]:
    """Return the messages with a mark in the place of each document."""
    changed = list(messages)
    for where in documents:
        position, index = _place(where)
        content = changed[position].content
        if isinstance(content, list):
            parts = [*content[:index], TextPart(_MARK + where), *content[index + 1 :]]
            changed[position] = replace(changed[position], content=parts)
    return changed


def marks_of(documents: Documents) -> dict[str, dict[str, Any]]:
    """Return the documents by the texts that mark them."""
    return {_MARK + where: block for where, block in documents.items()}


def _files(places: Sequence[str], messages: Sequence[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the parts that are files, with their places, of those who may send them."""
    for where in places:
        position, index = _place(where)
        message = messages[position]
        part = message["content"][index]
        if message.get("role") in _ROLES and part.get("type") == "file":
            yield where, part


def _place(where: str) -> tuple[int, int]:
    found = _PART.fullmatch(where)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _block(file: _File, where: str, number: int) -> dict[str, Any]:
    if not file.file_data:
        raise _refused(where, "has no file_data, and the model's provider has no files of yours; send file_data")
    head = _DATA_URL.match(file.file_data)
    data = file.file_data[head.end() :] if head else file.file_data
    stem, _, extension = (file.filename or "").rpartition(".")
    kind = _FORMATS.get(head[1].strip().lower() if head else "", extension.lower())
    if kind not in _FORMATS.values():
        raise _refused(where, f"has no type that the model's provider takes; send {', '.join(_FORMATS.values())}")
    try:
        b64decode(data, validate=True)
    except ValueError as error:
        raise _refused(where, "is not base64; send data:application/pdf;base64,DATA") from error
    return {"document": {"format": kind, "name": document_name(stem, number), "source": {"bytes": data}}}


def _refused(where: str, what: str) -> ChatError:
    return ChatError(Code.INVALID_REQUEST, f"The file in '{where}' {what}.", param=where)
