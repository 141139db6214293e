"""Errors of the OpenAI Responses API: the vendor's body, and an event of its own in a stream."""

from chatfleet_api.domain.errors import ChatError
from chatfleet_api.web.dialects.openai.errors import VendorErrorBody, dialect_code, error_body, parse_error
from chatfleet_api.web.dialects.responses.encode import ResponseEncoder

__all__ = ["VendorErrorBody", "dialect_code", "error_body", "error_frame", "parse_error"]


def error_frame(error: ChatError, _request_id: str = "") -> bytes:
    """Return the event that ends a stream which was opened before there was a run."""
    return ResponseEncoder().error_frame(error)
