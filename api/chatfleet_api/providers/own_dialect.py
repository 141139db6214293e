"""Whether a request came in the upstream's own dialect, and what of it no other dialect has. Pure."""

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import ChatRequest, Sent, WireDialect


def sent_in(dialect: WireDialect, request: ChatRequest) -> Sent | None:
    """Return what the client sent, if it speaks `dialect`."""
    sent = request.sent
    return sent if sent is not None and sent.dialect == dialect else None


def require_translated(request: ChatRequest) -> None:
    """Raise `ChatError(INVALID_REQUEST)` for the first part of a request that only its own dialect has.

    For an upstream of another dialect, which gets the common terms.
    """
    if request.sent is not None and request.sent.untranslated:
        first = request.sent.untranslated[0]
        raise ChatError(Code.INVALID_REQUEST, first.message, param=first.param)
