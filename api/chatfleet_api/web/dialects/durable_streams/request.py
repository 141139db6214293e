"""What a reader of a run requests: from which offset on, and how it waits for more."""

import re
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

from chatfleet_api.domain.errors import ChatError, Code

DIGITS: Final = 16
"""Length of an offset: the number of an event, padded with zeros, so that offsets sort as text."""

Mode: TypeAlias = Literal["long-poll", "sse"] | None
"""How a reader waits for more; None: it does not."""

_MODES: Final[Mapping[str | None, Mode]] = {None: None, "long-poll": "long-poll", "sse": "sse"}
_OFFSET: Final = re.compile(rf"[0-9]{{{DIGITS}}}")
_CURSOR: Final = re.compile(r"[0-9]{1,15}")


class ReadRequest(NamedTuple):
    """A read: after event number `after` (None: after the last one so far), and how it goes on."""

    after: int | None
    live: Mode = None
    cursor: int | None = None


def read_request(query: Mapping[str, str]) -> ReadRequest:
    """Parse the query; raises `ChatError(INVALID_REQUEST)` with the parameter and the remedy."""
    live, cursor = query.get("live"), query.get("cursor")
    if live not in _MODES:
        raise _invalid("live", "send long-poll or sse")
    if cursor is not None and not _CURSOR.fullmatch(cursor):
        raise _invalid("cursor", "send the cursor of the last response")
    return ReadRequest(_after(query.get("offset"), live), _MODES[live], None if cursor is None else int(cursor))


def offset_of(seq: int) -> str:
    """Return the offset behind event number `seq`."""
    return f"{seq:0{DIGITS}}"


def next_cursor(given: int | None) -> str:
    """Return the cursor for a reader who sent `given`: always a later one, so that no cache repeats a response."""
    return str((given or 0) + 1)


def _after(offset: str | None, live: str | None) -> int | None:
    if offset is None and live is not None:
        raise _invalid("offset", "send an offset with live; -1 is the beginning")
    if offset in (None, "-1"):
        return 0
    if offset == "now":
        return None
    if not _OFFSET.fullmatch(offset):
        raise _invalid("offset", "send the offset of an earlier response, -1 or now")
    return int(offset)


def _invalid(param: str, remedy: str) -> ChatError:
    return ChatError(Code.INVALID_REQUEST, f"Invalid value for '{param}': {remedy}.", param=param)
