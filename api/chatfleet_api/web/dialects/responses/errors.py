"""Errors of the OpenAI Responses API: the vendor's body, and an event of its own in a stream."""

import re
from typing import Final

from chatfleet_api.domain.errors import ChatError
from chatfleet_api.web.dialects.openai import errors as openai
from chatfleet_api.web.dialects.openai.errors import VendorErrorBody, dialect_code, parse_error
from chatfleet_api.web.dialects.responses.encode import ResponseEncoder

__all__ = ["VendorErrorBody", "dialect_code", "error_body", "error_frame", "parse_error"]

_NAMES: Final = (("messages", "input"), ("response_format", "text.format"), ("max_tokens", "max_output_tokens"))
"""Fields of the common terms, which errors of vendors name, and those of this API."""


def error_body(error: ChatError, request_id: str = "") -> bytes:
    """Return the body of an HTTP error, which names the field of this API."""
    return openai.error_body(in_own_names(error), request_id)


def in_own_names(error: ChatError) -> ChatError:
    """Return an error about a field of the common terms as one about the field that the client sent."""
    for common, own in _NAMES:
        if error.param == common or (error.param or "").startswith((f"{common}[", f"{common}.")):
            param = own + (error.param or "").removeprefix(common)
            message = re.sub(rf"\b{common}(?=['\[.])", own, error.message)
            return ChatError(error.code, message, param=param, retry_after=error.retry_after, detail=error.detail)
    return error


def error_frame(error: ChatError, _request_id: str = "") -> bytes:
    """Return the event that ends a stream which was opened before there was a run."""
    return ResponseEncoder().error_frame(error)
