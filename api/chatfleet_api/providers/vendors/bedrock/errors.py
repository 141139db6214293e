"""What errors of Bedrock mean, by the names that responses and exceptions in streams have. Pure."""

from types import MappingProxyType
from typing import Final

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.providers.error_objects import ErrorObject, error_of
from chatfleet_api.providers.upstream_errors import ERROR_CODES, from_event

_CREDENTIALS: Final = (
    *("AccessDeniedException", "ExpiredTokenException", "IncompleteSignature", "InvalidSignatureException"),
    *("MissingAuthenticationTokenException", "NotAuthorized", "OptInRequired", "UnrecognizedClientException"),
)
ERROR_NAMES: Final = MappingProxyType(
    {
        **ERROR_CODES,
        **dict.fromkeys(_CREDENTIALS, Code.UPSTREAM_AUTHENTICATION),
        "ResourceNotFoundException": Code.MODEL_NOT_FOUND,
        "ThrottlingException": Code.UPSTREAM_RATE_LIMITED,
        "ServiceQuotaExceededException": Code.UPSTREAM_RATE_LIMITED,
        "ServiceUnavailableException": Code.UPSTREAM_OVERLOADED,
        "ModelNotReadyException": Code.UPSTREAM_OVERLOADED,
        "ModelTimeoutException": Code.UPSTREAM_TIMEOUT,
        "ModelErrorException": Code.UPSTREAM_ERROR,
        "ModelStreamErrorException": Code.UPSTREAM_ERROR,
        "InternalServerException": Code.UPSTREAM_ERROR,
        "InternalFailure": Code.UPSTREAM_ERROR,
    }
)
_OF_THE_REQUEST: Final = "ValidationException"
_BAD_REQUEST: Final = 400

_decode: Final = msgspec.json.Decoder(dict[str, object]).decode


def exception_in(payload: bytes) -> ChatError | None:
    """Return the error that `payload` is; None: it is an event. Exceptions begin with a small letter in streams."""
    try:
        name, value = next(iter(_decode(payload).items()))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, StopIteration):
        return None
    if name == "error":
        error = error_of(value)
        name = str(error.code or error.type or name)
    elif name.lower().endswith("exception"):
        error, name = error_of(value), name[:1].upper() + name[1:]
    else:
        return None
    status = _BAD_REQUEST if name == _OF_THE_REQUEST else None
    return from_event(ErrorObject(error.message, name, status=status), ERROR_NAMES)
