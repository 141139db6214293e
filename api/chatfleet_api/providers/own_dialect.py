"""Whether a request came in the upstream's own dialect, and what of it no other dialect has. Pure."""

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import ChatRequest, Sent, WireDialect


def sent_in(dialect: WireDialect, request: ChatRequest) -> Sent | None:
    """Return what the client sent, if it speaks `dialect`."""
    sent = request.sent
    return sent if sent is not None and sent.dialect == dialect and not sent.in_common_terms else None


def require_translated(request: ChatRequest, dialect: WireDialect | None = None) -> None:
    """Raise `ChatError(INVALID_REQUEST)` for the first part of a request that has no counterpart in `dialect`.

    For an upstream of another dialect than the client's, which gets the common terms.
    """
    if request.sent is not None:
        for part in request.sent.untranslated:
            if dialect not in part.known_to:
                raise ChatError(Code.INVALID_REQUEST, part.message, param=part.param)
