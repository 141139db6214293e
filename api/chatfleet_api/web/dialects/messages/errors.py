"""Errors as Anthropic's Messages API words them (`anthropic` 2.14, `types/shared/error_object.py`).

`error.details.error_code` is our own code, as the vendor's are: stable, and more precise than the type.
"""

from types import MappingProxyType
from typing import Final

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.web.error_format import ErrorFields
from chatfleet_api.web.own_names import in_own_names
from chatfleet_api.web.sse import escape_line_separators, json_text

NAMES: Final = (
    ("reasoning_effort", "thinking"),
    ("parallel_tool_calls", "tool_choice.disable_parallel_tool_use"),
    ("response_format", "output_config.format"),
    ("stop", "stop_sequences"),
)
"""Fields of the common terms, which errors of vendors name, and those of this API."""
_STATUSES: Final = MappingProxyType({415: 400, 422: 400, 502: 500, 503: 529})
"""Statuses that the vendor does not send, and those that it sends in their place."""
_TYPES: Final = MappingProxyType(
    {
        401: "authentication_error",
        402: "billing_error",
        403: "permission_error",
        404: "not_found_error",
        408: "timeout_error",
        409: "conflict_error",
        413: "request_too_large",
        429: "rate_limit_error",
        504: "timeout_error",
        529: "overloaded_error",
    }
)


_CODES: Final = MappingProxyType({Code.BUDGET_EXHAUSTED: "enforced_spend_limit_reached"})


class ErrorDetails(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the type does not show."""

    error_code: str
    param: str | None = None
    """Path of the field at fault."""


class VendorMessageError(msgspec.Struct, frozen=True):
    """What went wrong, in the vendor's fields."""

    type: str
    message: str
    details: ErrorDetails


class MessagesErrorBody(msgspec.Struct, frozen=True, tag_field="type", tag="error"):
    """Body of every error of the Messages dialect."""

    error: VendorMessageError
    request_id: str


def dialect_status(status: int) -> int:
    """Return the HTTP status by which the vendor expresses `status`."""
    return _STATUSES.get(status, status)


def error_body(error: ChatError, request_id: str) -> bytes:
    """Return the body of an HTTP error, which names the field of this API."""
    error = in_own_names(error, NAMES)
    status = dialect_status(error.facts.status)
    kind = _TYPES.get(status) or ("invalid_request_error" if status < 500 else "api_error")  # noqa: PLR2004  # HTTP's border
    details = ErrorDetails(dialect_code(error.code), error.param)
    return json_text(MessagesErrorBody(VendorMessageError(kind, error.message, details), request_id))


def error_frame(error: ChatError, request_id: str) -> bytes:
    """Return the event that ends a stream which is not whole."""
    return escape_line_separators(b"event: error\ndata: " + error_body(error, request_id) + b"\n\n")


def parse_error(body: bytes) -> ErrorFields:
    """Read what `error_body` wrote; raises `msgspec.MsgspecError` for anything else."""
    error = msgspec.json.decode(body, type=MessagesErrorBody).error
    return ErrorFields(error.message, error.details.error_code, error.details.param)


def dialect_code(code: Code) -> str:
    """Return the code itself, or the vendor's own."""
    return _CODES.get(code, code.value)
