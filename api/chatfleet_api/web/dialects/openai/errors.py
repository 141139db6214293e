"""Errors as the OpenAI API words them (`openai` 3.52, `types/shared/error_object.py`)."""

from types import MappingProxyType
from typing import Final

import msgspec

from chatfleet_api.domain.errors import FACTS, ChatError, Code
from chatfleet_api.web.error_format import ErrorFields
from chatfleet_api.web.sse import escape_line_separators, json_text

_TYPES: Final = MappingProxyType({400: "invalid_request_error", 429: "rate_limit_error", 500: "server_error"})
"""`error.type` by kind of status: the caller's fault, a limit, ours."""


class VendorError(msgspec.Struct, frozen=True):
    """What went wrong, in the vendor's fields."""

    message: str
    type: str
    param: str | None
    code: str | None


class VendorErrorBody(msgspec.Struct, frozen=True):
    """Body of every error of the OpenAI dialect."""

    error: VendorError


class _Parsed(msgspec.Struct, frozen=True):
    error: ErrorFields


def error_body(error: ChatError, _request_id: str = "") -> bytes:
    """Return the body of an HTTP error."""
    status = error.facts.status
    kind = _TYPES.get(status) or _TYPES[400 if status < 500 else 500]  # noqa: PLR2004  # HTTP's own border
    return json_text(VendorErrorBody(VendorError(error.message, kind, error.param, dialect_code(error.code))))


def error_frame(error: ChatError, _request_id: str = "") -> bytes:
    """Return the event that ends a stream; no `[DONE]` follows it.

    The vendor's SDKs find the error by its data alone. LangChain4j finds it by the event's name, and takes an answer
    that ends without it for whole.
    """
    return escape_line_separators(b"event: error\ndata: " + error_body(error) + b"\n\n")


def parse_error(body: bytes) -> ErrorFields:
    """Read what `error_body` wrote; raises `msgspec.MsgspecError` for anything else."""
    return msgspec.json.decode(body, type=_Parsed).error


def dialect_code(code: Code) -> str | None:
    """Return how the vendor calls `code`."""
    chosen = FACTS[code].openai_code
    return code.value if chosen == "" else chosen
