"""The one taxonomy of errors: codes, the table of what follows from each code, and the exceptions that carry them.

Everything that can fail between a request and the end of its answer is a `ChatError` with a `Code`. `FACTS` is the only
table by code: retries, circuit breaker, fallback, HTTP responses and dialects read their columns in it; `ANSWERED` has
the rows that differ once an upstream has begun its answer.
"""

from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, Self, cast

from chatfleet_api.domain.quota import Quota


class Code(StrEnum):
    """Stable error codes, as clients see them."""

    INVALID_REQUEST = "invalid_request"
    UNAUTHENTICATED = "unauthenticated"
    PERMISSION_DENIED = "permission_denied"
    IDENTITY_UNAVAILABLE = "identity_unavailable"
    USER_MISMATCH = "user_mismatch"
    CREDENTIAL_REVOKED = "credential_revoked"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    UPGRADE_REQUIRED = "upgrade_required"
    REQUEST_TOO_LARGE = "request_too_large"
    REQUEST_TIMEOUT = "request_timeout"
    NOT_FOUND = "not_found"
    MODEL_NOT_FOUND = "model_not_found"
    CONVERSATION_NOT_FOUND = "conversation_not_found"
    PREVIOUS_RESPONSE_NOT_FOUND = "previous_response_not_found"
    CONVERSATION_BUSY = "conversation_busy"
    CONVERSATION_CHANGED = "conversation_changed"
    CONVERSATION_FULL = "conversation_full"
    IDEMPOTENCY_MISMATCH = "idempotency_mismatch"
    LIMIT_EXCEEDED = "limit_exceeded"
    BUDGET_EXHAUSTED = "budget_exhausted"
    AT_CAPACITY = "at_capacity"
    DRAINING = "draining"
    STARTING = "starting"
    STORAGE_UNAVAILABLE = "storage_unavailable"
    KNOWLEDGE_UNAVAILABLE = "knowledge_unavailable"
    ATTACHMENT_UNAVAILABLE = "attachment_unavailable"
    CONTEXT_TOO_LONG = "context_too_long"
    CONTENT_FILTERED = "content_filtered"
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


class ChatError(Exception):
    """A failure that is reported to the client.

    As with `OSError` and its numbers, the code decides the class: `ChatError(Code.STORAGE_UNAVAILABLE)` is a
    `StorageUnavailableError`, so that callers use `except`, whoever raised it. `message` and `param` are public: never
    put an upstream's body, a host name or a secret there. Details for operators go into `detail`, which is only logged.
    """

    final: bool = False  # whether the same upstream is not requested again, although the code allows it
    answered: bool = False  # whether the upstream had begun its answer, which is paid: `ANSWERED` goes before `FACTS`
    quota: Quota | None = None  # what is left to the caller whom a limit refused
    instead: str | None = None  # the model that may answer where a budget is exhausted

    def __init__(
        self,
        code: Code,
        message: str | None = None,
        *,
        param: str | None = None,
        retry_after: float | None = None,
        detail: str | None = None,
    ) -> None:
        """`retry_after` is in seconds, `param` the path of the offending field (`messages[0].role`)."""
        super().__init__(f"{code}: {detail or message or FACTS[code].message}")
        self.code = code
        self.message = message or FACTS[code].message
        self.param = param
        self.retry_after = retry_after
        self.detail = detail

    def __new__(cls, code: Code | None = None, *_: object, **__: object) -> Self:
        return super().__new__(cast("type[Self]", FACTS[code].error) if cls is ChatError and code else cls)

    @property
    def facts(self) -> "Facts":
        return (self.answered and ANSWERED.get(self.code)) or FACTS[self.code]


class RejectedError(ChatError):
    """The request cannot succeed as it is: the client has to change it."""


class NotFoundError(RejectedError):
    """What the path names does not exist, or no longer."""


class ConversationNotFoundError(RejectedError):
    """The conversation does not exist, or no longer."""


class ConversationConflictError(ChatError):
    """Another request uses the conversation: wait, then retry."""


class ConversationChangedError(ConversationConflictError):
    """The conversation is no longer at the expected version: read it again first."""


class OverloadedError(ChatError):
    """This pod accepts no request now: another pod, or this one later, may."""


class StorageUnavailableError(ChatError):
    """Redis did not answer in time; what was written may have been stored all the same."""


class UpstreamError(ChatError):
    """The upstream failed, or refused a request that was not at fault."""


class StoppedError(ChatError):
    """The answer was ended on purpose, by its client or because its pod ends."""


class Facts(NamedTuple):
    """What follows from a code, wherever it appears."""

    error: type[ChatError]
    """The class of its exceptions."""
    status: int
    """HTTP status before the stream began."""
    message: str
    """Sentence for people when the error brings none of its own."""
    suggested_action: str
    retryable: bool = False
    """Whether the client may send the same request again later."""
    another_pod: bool = False
    """Whether another pod may accept the request now: the connection is closed, so that a retry can reach one."""
    retry_upstream: bool = False
    """Whether the pod itself tries the same upstream again, before the first token."""
    trips_breaker: bool = False
    """Whether it counts as a failure of the upstream for its circuit breaker."""
    try_fallback: bool = True
    """Whether a fallback model may succeed; not with requests that any model would reject."""
    outcome: Literal["failed", "cancelled", "interrupted"] = "failed"
    """Status of an answer that ends with it."""
    openai_code: str | None = ""
    """`error.code` in OpenAI's dialect where it is not the code itself (empty)."""
    responses_code: str = "server_error"
    """`error.code` of a failed response of OpenAI's Responses API."""


_CORRECT: Final = "Correct the request."
_LATER: Final = "Retry after the time in the Retry-After header."
_CREDENTIAL: Final = "Send an API key or a token as Authorization: Bearer, x-api-key or api-key."
_OPERATOR: Final = "Contact the operator of this service with the request ID."


def _rejected(status: int, message: str, suggested_action: str = _CORRECT) -> Facts:
    return Facts(RejectedError, status, message, suggested_action)


def _retryable(error: type[ChatError], status: int, message: str, suggested_action: str = _LATER) -> Facts:
    return Facts(error, status, message, suggested_action, retryable=True)


def _upstream(status: int, message: str, *, retry: bool = True) -> Facts:
    facts = _retryable(UpstreamError, status, message)
    return facts._replace(retry_upstream=retry, trips_breaker=True)


FACTS: Final = MappingProxyType(
    {
        Code.INVALID_REQUEST: _rejected(400, "The request is invalid.")._replace(try_fallback=False, openai_code=None),
        Code.UNAUTHENTICATED: _rejected(
            401, "No valid credential; send it as Authorization: Bearer, x-api-key or api-key.", _CREDENTIAL
        )._replace(openai_code="invalid_api_key"),
        Code.PERMISSION_DENIED: _rejected(
            403,
            "The credential may not use this service; use another one, or ask for access.",
            "Use another credential, or ask the operator of this service for access.",
        ),
        Code.IDENTITY_UNAVAILABLE: _retryable(
            OverloadedError, 503, "The credential cannot be verified, because its issuer is unreachable."
        )._replace(another_pod=True),
        Code.USER_MISMATCH: _rejected(
            403, "The user is not that of the credential; omit it.", "Omit it, or use a credential of that user."
        ),
        Code.CREDENTIAL_REVOKED: _rejected(401, "The credential is no longer valid; send another one.", _CREDENTIAL),
        Code.UNSUPPORTED_MEDIA_TYPE: _rejected(
            415, "The request body must be JSON.", "Set the Content-Type header to application/json."
        ),
        Code.METHOD_NOT_ALLOWED: _rejected(
            405, "The method is not allowed for this path.", "Use a method listed in the Allow header."
        )._replace(openai_code="method_not_supported"),
        Code.UPGRADE_REQUIRED: _rejected(
            426, "WebSocket is not supported.", "Send the request over HTTP; set stream to true for a stream of events."
        ),
        Code.REQUEST_TOO_LARGE: _rejected(413, "The request body is too large.", "Send a smaller request body."),
        Code.REQUEST_TIMEOUT: _retryable(RejectedError, 408, "The request body did not arrive in time."),
        Code.NOT_FOUND: Facts(
            NotFoundError, 404, "The path does not exist.", "Use a path listed at /docs.", openai_code=None
        ),
        Code.MODEL_NOT_FOUND: _rejected(404, "The model does not exist.", "Use a model listed by GET /v1/models."),
        Code.CONVERSATION_NOT_FOUND: Facts(
            ConversationNotFoundError, 404, "The conversation does not exist.", "Create a conversation first."
        ),
        Code.PREVIOUS_RESPONSE_NOT_FOUND: _rejected(
            400,
            "The previous response does not exist or is no longer stored.",
            "Send the earlier messages in 'input', and omit 'previous_response_id'.",
        ),
        Code.CONVERSATION_BUSY: _retryable(
            ConversationConflictError, 409, "Another answer is in progress in this conversation."
        ),
        Code.CONVERSATION_CHANGED: _retryable(
            ConversationChangedError,
            409,
            "The conversation was changed by another request.",
            "Read the conversation, then retry.",
        ),
        Code.CONVERSATION_FULL: _rejected(400, "The conversation is full.", "Start a new conversation."),
        Code.IDEMPOTENCY_MISMATCH: _rejected(
            422, "The Idempotency-Key was used for a different message.", "Use a new key for a new message."
        ),
        Code.LIMIT_EXCEEDED: _retryable(OverloadedError, 429, "A limit is reached."),
        Code.BUDGET_EXHAUSTED: _rejected(429, "A budget is exhausted.", "Retry after the budget has reset."),
        Code.AT_CAPACITY: _retryable(OverloadedError, 503, "The server is at capacity.")._replace(another_pod=True),
        Code.DRAINING: _retryable(OverloadedError, 503, "The server is shutting down.")._replace(another_pod=True),
        Code.STARTING: _retryable(OverloadedError, 503, "No pod became ready in time."),
        Code.STORAGE_UNAVAILABLE: _retryable(StorageUnavailableError, 503, "The conversation store is unavailable."),
        Code.KNOWLEDGE_UNAVAILABLE: _retryable(ChatError, 503, "The documents of the model cannot be used.", _OPERATOR),
        Code.ATTACHMENT_UNAVAILABLE: _retryable(ChatError, 502, "The attachment cannot be fetched."),
        Code.CONTEXT_TOO_LONG: _rejected(
            400,
            "The messages exceed the context window of the model.",
            "Shorten the messages or start a new conversation.",
        )._replace(try_fallback=False, openai_code="context_length_exceeded"),
        Code.CONTENT_FILTERED: _rejected(
            400, "The upstream's content filter rejected the messages.", "Change the messages that it rejects."
        )._replace(try_fallback=False, openai_code="content_filter"),
        Code.UPSTREAM_REJECTED: _rejected(400, "The upstream rejected the request.")._replace(try_fallback=False),
        Code.UPSTREAM_AUTHENTICATION: Facts(
            UpstreamError, 502, "The upstream rejected the credentials of this service.", _OPERATOR
        ),
        Code.UPSTREAM_RATE_LIMITED: _retryable(
            UpstreamError, 429, "The rate limit of the upstream was exceeded."
        )._replace(retry_upstream=True, openai_code="rate_limit_exceeded", responses_code="rate_limit_exceeded"),
        Code.UPSTREAM_OVERLOADED: _upstream(503, "The upstream is overloaded."),
        Code.UPSTREAM_UNAVAILABLE: _upstream(502, "The upstream is unreachable."),
        Code.UPSTREAM_CIRCUIT_OPEN: _retryable(
            UpstreamError, 503, "The circuit breaker of the upstream is open after repeated failures."
        ),
        Code.UPSTREAM_TIMEOUT: _upstream(504, "The upstream did not respond in time."),
        Code.UPSTREAM_STALLED: _upstream(504, "The upstream stopped sending in the middle of the answer.", retry=False),
        Code.UPSTREAM_TRUNCATED: _upstream(502, "The upstream closed the stream before it sent a finish reason."),
        Code.UPSTREAM_MALFORMED: _upstream(502, "The upstream sent a response that cannot be parsed."),
        Code.UPSTREAM_ERROR: _upstream(502, "The upstream returned an error."),
        Code.CANCELLED: Facts(
            StoppedError,
            499,
            "The answer was cancelled.",
            "Send the request again if the answer is still needed.",
            outcome="cancelled",
        ),
        Code.INTERRUPTED: _retryable(
            StoppedError,
            503,
            "The answer was interrupted.",
            "Send the request again; partial_saved shows whether the partial answer is in the conversation.",
        )._replace(outcome="interrupted"),
        Code.INTERNAL: _retryable(ChatError, 500, "An internal error occurred.", _OPERATOR),
    }
)

ANSWERED: Final = MappingProxyType(
    {
        # It works, and has been paid; the same request is likely to end alike, here and for every retrying client.
        Code.UPSTREAM_MALFORMED: FACTS[Code.UPSTREAM_MALFORMED]._replace(
            suggested_action=_OPERATOR,
            retryable=False,
            retry_upstream=False,
            trips_breaker=False,
            try_fallback=False,
        ),
    }
)
"""What follows from a code instead, once the upstream has begun its answer."""
