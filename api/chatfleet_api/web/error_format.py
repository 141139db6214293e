"""What each dialect's `errors` module offers."""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from chatfleet_api.domain.errors import ChatError, Code


class ErrorFields(msgspec.Struct, frozen=True):
    """The content of an error's body, as far as it is there."""

    message: str | None = None
    code: str | None = None
    """The dialect's word for a `Code`."""
    param: str | None = None


class ErrorFormat(NamedTuple):
    """How a dialect shows errors. A dialect may leave the request id out."""

    body: Callable[[ChatError, str], bytes]
    """Returns the body of an HTTP error, given the request id."""
    frame: Callable[[ChatError, str], bytes]
    """Returns the SSE frame that ends a stream which was opened before there was a run, given the request id."""
    parse: Callable[[bytes], ErrorFields]
    """Reads what `body` wrote; raises `msgspec.MsgspecError` for anything else."""
    vendor_code: Callable[[Code], str | None]
    """Returns the dialect's word for a code."""
