"""Errors of the UI message stream. Those with an HTTP status have the body of our own dialect: the AI SDK has none."""

from chatfleet_api.domain.errors import ChatError
from chatfleet_api.web.dialects.ai_sdk.encode import UIMessageEncoder


def error_frame(error: ChatError, request_id: str) -> bytes:
    """Return the parts that end a stream which was opened before there was a run."""
    return UIMessageEncoder(request_id).error_frame(error)
