"""Errors of AG-UI. Those with an HTTP status have the body of our own dialect: the protocol has none."""

from chatfleet_api.domain.errors import ChatError
from chatfleet_api.web.dialects.ag_ui.encode import AgentEncoder


def error_frame(error: ChatError, _request_id: str) -> bytes:
    """Return the event that ends a stream which was opened before there was a run."""
    return AgentEncoder("", "").error_frame(error)
