"""The headers of a tool server, in the mounted files of a Secret: read at each request, so that new values apply."""

import re
from pathlib import Path
from typing import Final

MAX_FILE_BYTES: Final = 8192
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+")
_OURS: Final = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade"})
"""Headers that belong to the connection."""


class UnusableHeaderError(ValueError):
    """A header cannot be sent; the message has the key of the Secret and the reason, never the value."""


def read_headers(folder: str | None) -> dict[str, str]:
    """Return the headers in `folder`, one a file; without a folder there are none. Raises `UnusableHeaderError`."""
    if folder is None:
        return {}
    try:
        paths = sorted(path for path in Path(folder).iterdir() if not path.name.startswith(".."))
    except OSError:
        raise UnusableHeaderError("the Secret with its headers cannot be read; create it") from None
    return {path.name: _value(path) for path in paths}


def _value(path: Path) -> str:
    name = path.name
    if not _NAME.fullmatch(name) or name.lower() in _OURS:
        raise UnusableHeaderError(f"key {name} of its Secret is no header that can be set; rename it")
    try:
        value = path.read_bytes()[:MAX_FILE_BYTES].decode("ascii").strip()
    except (OSError, UnicodeDecodeError):
        value = ""
    if not value or not value.isprintable():
        raise UnusableHeaderError(f"key {name} of its Secret must hold one line of printable ASCII; correct it")
    return value
