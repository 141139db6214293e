"""The one taxonomy of errors: what a caller can be told, with its HTTP status and whether trying again helps.

Everything that can go wrong on the way to an answer is a `ChatError` with a `Code`. Each dialect renders it in its vendor's
shape, as an HTTP body before the stream began and as the terminal event after. Details for operators go to the log only.
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
    NOT_FOUND = "not_found"
    MODEL_NOT_FOUND = "model_not_found"
    CONVERSATION_NOT_FOUND = "conversation_not_found"
    CONVERSATION_BUSY = "conversation_busy"
    CONVERSATION_CHANGED = "conversation_changed"
    AT_CAPACITY = "at_capacity"
    DRAINING = "draining"
    STORAGE_UNAVAILABLE = "storage_unavailable"
    CONTEXT_TOO_LONG = "context_too_long"
    UPSTREAM_REJECTED = "upstream_rejected"
    UPSTREAM_AUTHENTICATION = "upstream_authentication"
    UPSTREAM_RATE_LIMITED = "upstream_rate_limited"
    UPSTREAM_OVERLOADED = "upstream_overloaded"
    UPSTREAM_UNAVAILABLE = "upstream_unavailable"
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

FACTS: Final = MappingProxyType(
    {
        Code.INVALID_REQUEST: Facts(400, retryable=False, message="The request is not valid.", suggested_action=_FIX),
        Code.UNSUPPORTED_MEDIA_TYPE: Facts(415, retryable=False, message="The body must be JSON.", suggested_action="Send Content-Type: application/json."),
        Code.METHOD_NOT_ALLOWED: Facts(405, retryable=False, message="This method is not allowed here.", suggested_action="Use one of the methods in Allow."),
        Code.REQUEST_TOO_LARGE: Facts(413, retryable=False, message="The body is too large.", suggested_action="Send a smaller body."),
        Code.NOT_FOUND: Facts(404, retryable=False, message="There is nothing at this path.", suggested_action="Look at /docs for what there is."),
        Code.MODEL_NOT_FOUND: Facts(404, retryable=False, message="This model does not exist here.", suggested_action="Choose one of GET /v1/models."),
        Code.CONVERSATION_NOT_FOUND: Facts(404, retryable=False, message="This conversation does not exist.", suggested_action="Create a conversation first."),
        Code.CONVERSATION_BUSY: Facts(409, retryable=True, message="An answer is being written in this conversation.", suggested_action=_AGAIN),
        Code.CONVERSATION_CHANGED: Facts(
            409, retryable=True, message="The conversation changed meanwhile.", suggested_action="Read the conversation and try again."
        ),
        Code.AT_CAPACITY: Facts(503, retryable=True, message="All streams of this server are taken.", suggested_action=_AGAIN),
        Code.DRAINING: Facts(503, retryable=True, message="This server is shutting down.", suggested_action=_AGAIN),
        Code.STORAGE_UNAVAILABLE: Facts(503, retryable=True, message="Conversations cannot be reached just now.", suggested_action=_AGAIN),
        Code.CONTEXT_TOO_LONG: Facts(
            400, retryable=False, message="The conversation is longer than the model takes.", suggested_action="Shorten the messages or start anew."
        ),
        Code.UPSTREAM_REJECTED: Facts(400, retryable=False, message="The model's provider refused the request.", suggested_action=_FIX),
        Code.UPSTREAM_AUTHENTICATION: Facts(
            502, retryable=False, message="The model's provider did not accept this service's credentials.", suggested_action=_OPERATOR
        ),
        Code.UPSTREAM_RATE_LIMITED: Facts(429, retryable=True, message="The model's provider limits the rate just now.", suggested_action=_AGAIN),
        Code.UPSTREAM_OVERLOADED: Facts(503, retryable=True, message="The model's provider is overloaded.", suggested_action=_AGAIN),
        Code.UPSTREAM_UNAVAILABLE: Facts(502, retryable=True, message="The model's provider cannot be reached.", suggested_action=_AGAIN),
        Code.UPSTREAM_TIMEOUT: Facts(504, retryable=True, message="The model's provider took too long.", suggested_action=_AGAIN),
        Code.UPSTREAM_STALLED: Facts(504, retryable=True, message="The model's provider fell silent in mid-answer.", suggested_action=_AGAIN),
        Code.UPSTREAM_TRUNCATED: Facts(502, retryable=True, message="The model's provider ended the answer before it was complete.", suggested_action=_AGAIN),
        Code.UPSTREAM_MALFORMED: Facts(502, retryable=True, message="The model's provider sent something unreadable.", suggested_action=_AGAIN),
        Code.UPSTREAM_ERROR: Facts(502, retryable=True, message="The model's provider reported an error.", suggested_action=_AGAIN),
        Code.CANCELLED: Facts(499, retryable=False, message="The answer was cancelled.", suggested_action="Ask again if you still want the answer."),
        Code.INTERRUPTED: Facts(503, retryable=True, message="The answer was interrupted.", suggested_action="Ask again; what had come is kept."),
        Code.INTERNAL: Facts(500, retryable=True, message="Something went wrong on our side.", suggested_action=_OPERATOR),
    }
)


class ChatError(Exception):
    """A failure that the caller is told about.

    `message` and `param` are public: never put an upstream's body, a host name or a secret there. What helps the people who run
    the service goes into `detail`, which is only logged.
    """

    def __init__(
        self, code: Code, message: str | None = None, *, param: str | None = None, retry_after: float | None = None, detail: str | None = None
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
