"""Errors of the OpenAI Responses API: the vendor's body, and an event of its own in a stream."""

from typing import Final

from chatfleet_api.domain.errors import ChatError
from chatfleet_api.web.dialects.openai import errors as openai
from chatfleet_api.web.dialects.openai.errors import VendorErrorBody, dialect_code, parse_error
from chatfleet_api.web.dialects.responses.encode import ResponseEncoder
from chatfleet_api.web.own_names import in_own_names

__all__ = ["VendorErrorBody", "dialect_code", "error_body", "error_frame", "parse_error"]

NAMES: Final = (
    ("messages", "input"),
    ("response_format", "text.format"),
    ("max_tokens", "max_output_tokens"),
    ("reasoning_effort", "reasoning.effort"),
)
"""Fields of the common terms, which errors of vendors name, and those of this API."""


def error_body(error: ChatError, request_id: str = "") -> bytes:
    """Return the body of an HTTP error, which names the field of this API."""
    return openai.error_body(in_own_names(error, NAMES), request_id)


def error_frame(error: ChatError, _request_id: str = "") -> bytes:
    """Return the event that ends a stream which was opened before there was a run."""
    return ResponseEncoder().error_frame(error)
