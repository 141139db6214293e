"""What each dialect's `errors` module offers."""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from chatfleet_api.domain.errors import ChatError, Code


class ErrorFields(msgspec.Struct, frozen=True):
    """What `parse` finds in an error's body. A dialect whose bodies have no code, or no parameter, leaves it None."""

    message: str | None = None
    code: str | None = None
    """What `dialect_code` returned for the error's `Code`."""
    param: str | None = None


class ErrorFormat(NamedTuple):
    """The four functions of a dialect's `errors` module. The first two get the request id, and need not show it.

    When the activator's client has got a 200 already, a pod's error is read by `parse`, becomes the `Code` of the same
    status whose `dialect_code` was parsed, and is sent as a `frame`. An API without codes returns None from both; then
    the first code of `FACTS` with the status stands for all of them.
    """

    body: Callable[[ChatError, str], bytes]
    """Returns the body of an HTTP error, given the request id."""
    frame: Callable[[ChatError, str], bytes]
    """Returns the SSE frame that ends a stream, given the request id.

    It is the one for a stream that has no `Encoder`, because it was opened before there was a run (by the activator);
    within a run, `Encoder.error_frame` writes it, because the encoder knows the ids and numbers of the events so far.
    """
    parse: Callable[[bytes], ErrorFields]
    """Reads what `body` wrote; raises `msgspec.MsgspecError` for anything else, such as the page of a proxy."""
    dialect_code: Callable[[Code], str | None]
    """Returns the code that clients of the dialect see for a `Code`, None when they see none.

    Unique among the codes of one status, unless the API has no codes.
    """
    status: Callable[[int], int] = int
    """Returns the HTTP status that clients of the dialect get in the place of one of `FACTS`."""
