"""Errors of our own dialect."""

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.web.dialects.native.bodies import ErrorBody
from chatfleet_api.web.dialects.native.encode import EventEncoder
from chatfleet_api.web.error_format import ErrorFields


def error_body(error: ChatError, request_id: str) -> bytes:
    """Return the body of an HTTP error."""
    facts = error.facts
    return msgspec.json.encode(
        ErrorBody(error.code, error.message, facts.suggested_action, facts.retryable, request_id, error.param)
    )


def error_frame(error: ChatError, request_id: str) -> bytes:
    """Return the event that ends a stream which was opened before there was a run."""
    return EventEncoder("", request_id).error_frame(error)


def parse_error(body: bytes) -> ErrorFields:
    """Read what `error_body` wrote; raises `msgspec.MsgspecError` for anything else."""
    return msgspec.json.decode(body, type=ErrorFields)


def dialect_code(code: Code) -> str:
    """Return the code itself."""
    return code.value
