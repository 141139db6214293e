"""The one taxonomy of errors: what a caller can be told, with its HTTP status and whether trying again helps.

Everything that can go wrong on the way to an answer is a `ChatError` with a `Code`. Each dialect renders it in its
vendor's shape, as an HTTP body before the stream began and as the terminal event after. Details for operators go to the
log only.
"""

from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple


class Code(StrEnum):
    """Stable error codes, as clients see them."""

    INVALID_REQUEST = "invalid_request"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    REQUEST_TOO_LARGE = "request_too_large"
    REQUEST_TIMEOUT = "request_timeout"
    NOT_FOUND = "not_found"
    MODEL_NOT_FOUND = "model_not_found"
    CONVERSATION_NOT_FOUND = "conversation_not_found"
    CONVERSATION_BUSY = "conversation_busy"
    CONVERSATION_CHANGED = "conversation_changed"
    IDEMPOTENCY_MISMATCH = "idempotency_mismatch"
    AT_CAPACITY = "at_capacity"
    DRAINING = "draining"
    STARTING = "starting"
    STORAGE_UNAVAILABLE = "storage_unavailable"
    CONTEXT_TOO_LONG = "context_too_long"
    UPSTREAM_REJECTED = "upstream_rejected"
    UPSTREAM_AUTHENTICATION = "upstream_authentication"
    UPSTREAM_RATE_LIMITED = "upstream_rate_limited"
    UPSTREAM_OVERLOADED = "upstream_overloaded"
    UPSTREAM_UNAVAILABLE = "upstream_unavailable"
    UPSTREAM_CIRCUIT_OPEN = "upstream_circuit_open"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    UPSTREAM_STALLED = "upstream_stalled"
    UPSTREAM_TRUNCATED = "upstream_truncated"
    UPSTREAM_MALFORMED = "upstream_malformed"
    UPSTREAM_ERROR = "upstream_error"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    INTERNAL = "internal"


class Facts(NamedTuple):
    """What is said of a code wherever it appears."""

    status: int
    """HTTP status before the stream began."""
    retryable: bool
    """Whether the same request may succeed later."""
    message: str
    """Sentence for people when the raiser has none of its own."""
    suggested_action: str


_AGAIN: Final = "Try again after the time in Retry-After."
_FIX: Final = "Correct the request."
_OPERATOR: Final = "Tell the operator of this service; the request id finds the details in its logs."


def _final(status: int, message: str, suggested_action: str) -> Facts:
    return Facts(status, retryable=False, message=message, suggested_action=suggested_action)


def _passing(status: int, message: str, suggested_action: str = _AGAIN) -> Facts:
    return Facts(status, retryable=True, message=message, suggested_action=suggested_action)


FACTS: Final = MappingProxyType(
    {
        Code.INVALID_REQUEST: _final(400, "The request is not valid.", _FIX),
        Code.UNSUPPORTED_MEDIA_TYPE: _final(415, "The body must be JSON.", "Send Content-Type: application/json."),
        Code.METHOD_NOT_ALLOWED: _final(405, "This method is not allowed here.", "Use one of the methods in Allow."),
        Code.REQUEST_TOO_LARGE: _final(413, "The body is too large.", "Send a smaller body."),
        Code.REQUEST_TIMEOUT: _passing(408, "The body did not arrive in time."),
        Code.NOT_FOUND: _final(404, "There is nothing at this path.", "Look at /docs for what there is."),
        Code.MODEL_NOT_FOUND: _final(404, "This model does not exist here.", "Choose one of GET /v1/models."),
        Code.CONVERSATION_NOT_FOUND: _final(404, "This conversation does not exist.", "Create a conversation first."),
        Code.CONVERSATION_BUSY: _passing(409, "An answer is being written in this conversation."),
        Code.CONVERSATION_CHANGED: _passing(
            409, "The conversation changed meanwhile.", "Read the conversation and try again."
        ),
        Code.IDEMPOTENCY_MISMATCH: _final(
            422, "This Idempotency-Key was used for another message.", "Use a new key for a new message."
        ),
        Code.AT_CAPACITY: _passing(503, "All streams of this server are taken."),
        Code.DRAINING: _passing(503, "This server is shutting down."),
        Code.STARTING: _passing(503, "No server was ready in time; one is being started."),
        Code.STORAGE_UNAVAILABLE: _passing(503, "Conversations cannot be reached just now."),
        Code.CONTEXT_TOO_LONG: _final(
            400, "The conversation is longer than the model takes.", "Shorten the messages or start anew."
        ),
        Code.UPSTREAM_REJECTED: _final(400, "The model's provider refused the request.", _FIX),
        Code.UPSTREAM_AUTHENTICATION: _final(
            502, "The model's provider did not accept this service's credentials.", _OPERATOR
        ),
        Code.UPSTREAM_RATE_LIMITED: _passing(429, "The model's provider limits the rate just now."),
        Code.UPSTREAM_OVERLOADED: _passing(503, "The model's provider is overloaded."),
        Code.UPSTREAM_UNAVAILABLE: _passing(502, "The model's provider cannot be reached."),
        Code.UPSTREAM_CIRCUIT_OPEN: _passing(
            503, "The model's provider has failed too often and is left alone for a moment."
        ),
        Code.UPSTREAM_TIMEOUT: _passing(504, "The model's provider took too long."),
        Code.UPSTREAM_STALLED: _passing(504, "The model's provider fell silent in mid-answer."),
        Code.UPSTREAM_TRUNCATED: _passing(502, "The model's provider ended the answer before it was complete."),
        Code.UPSTREAM_MALFORMED: _passing(502, "The model's provider sent something unreadable."),
        Code.UPSTREAM_ERROR: _passing(502, "The model's provider reported an error."),
        Code.CANCELLED: _final(499, "The answer was cancelled.", "Ask again if you still want the answer."),
        Code.INTERRUPTED: _passing(503, "The answer was interrupted.", "Ask again; what had come is kept."),
        Code.INTERNAL: _passing(500, "Something went wrong on our side.", _OPERATOR),
    }
)


class ChatError(Exception):
    """A failure that the caller is told about.

    `message` and `param` are public: never put an upstream's body, a host name or a secret there. What helps the people
    who run the service goes into `detail`, which is only logged.
    """

    def __init__(
        self,
        code: Code,
        message: str | None = None,
        *,
        param: str | None = None,
        retry_after: float | None = None,
        detail: str | None = None,
    ) -> None:
        """Make the error; `retry_after` is in seconds, `param` the path of the offending field (`messages[0].role`)."""
        super().__init__(f"{code}: {detail or message or FACTS[code].message}")
        self.code = code
        self.message = message or FACTS[code].message
        self.param = param
        self.retry_after = retry_after
        self.detail = detail

    @property
    def facts(self) -> Facts:
        """Return what is said of this error's code."""
        return FACTS[self.code]


def beyond() -> ChatError:
    """Return what a reader is told that has seen more than is kept: what followed that was lost with the storage."""
    return ChatError(Code.NOT_FOUND, "What follows the last event that you have seen is not known.")
