"""Files in messages: PDFs, which upstreams take by names of their own, or not at all. Pure."""

import re
from collections.abc import Sequence
from typing import Final

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import FilePart, Message
from chatfleet_api.providers.upstream_errors import clean

LONGEST_NAME: Final = 150
_UNNAMED: Final = "document"
_SHOWN: Final = 60
_FOREIGN: Final = re.compile(r"[^A-Za-z0-9()\[\]-]+")


def require_no_files(messages: Sequence[Message]) -> None:
    """Raise `ChatError(INVALID_REQUEST)` for the first file, on behalf of an upstream that takes none."""
    for position, message in enumerate(messages):
        for part in message.content if isinstance(message.content, list) else ():
            if isinstance(part, FilePart):
                where, name = f"messages[{position}].content", clean(part.file.filename, limit=_SHOWN)
                text = f"The model's provider takes no files, such as '{name}'; send their text, or use another model."
                raise ChatError(Code.INVALID_REQUEST, text, param=where)


def data_of(part: FilePart) -> str:
    """Return the base64 of a file."""
    return part.file.file_data.partition(",")[2]


def document_name(stem: str, number: int) -> str:
    """Return the name of a document of Converse, which refuses most characters, and two of the same name."""
    name = " ".join(_FOREIGN.sub(" ", stem).split())[:LONGEST_NAME] or _UNNAMED
    return f"{name} {number + 1}" if number else name
