"""The text of a PDF, by a program of its own: `python -m chatfleet_api.knowledge.pdf` reads one, and prints JSON.

Nothing else imports it, nor pypdf: a document that takes too long, or too much memory, ends this process alone.
"""

import json
import os
import resource
import sys
from io import BytesIO
from typing import Final

from pypdf import PdfReader

MAX_PAGES: Final = 2000
MAX_CHARACTERS: Final = 4 * 1024 * 1024
MAX_MEMORY_BYTES: Final = 256 * 1024 * 1024
"""Of its address space."""
NICENESS: Final = 10
"""Streams go first."""


class PdfError(Exception):
    """A PDF has no text for an index; the text is the cause, with the remedy."""


def text_of(content: bytes) -> str:
    """Return the text of a PDF, its pages apart; raises `PdfError`."""
    try:
        return _joined(PdfReader(BytesIO(content), strict=False))
    except PdfError:
        raise
    except MemoryError:
        raise PdfError("it needs too much memory; split it") from None
    except Exception as error:  # of a parser, on what anyone may have written
        raise PdfError(f"it is no PDF that can be read ({type(error).__name__}); store it anew") from error


def _joined(reader: PdfReader) -> str:
    if reader.is_encrypted:
        raise PdfError("it is encrypted; store it without a password")
    if len(reader.pages) > MAX_PAGES:
        raise PdfError(f"it has more than {MAX_PAGES} pages; split it")
    pages, size = list[str](), 0
    for page in reader.pages:
        text = page.extract_text().strip()
        size += len(text)
        if size > MAX_CHARACTERS:
            raise PdfError(f"its text has more than {MAX_CHARACTERS} characters; split it")
        pages.append(text)
    if not size:
        raise PdfError("it has no text, perhaps because it is scanned; store it with its text recognized")
    return "\n\n".join(filter(None, pages))


def main(seconds: int) -> None:
    """Read a PDF from the standard input, in `seconds` of processor time at most."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    os.nice(NICENESS)
    try:
        found = {"text": text_of(sys.stdin.buffer.read())}
    except PdfError as wrong:
        found = {"why": str(wrong)}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]))
