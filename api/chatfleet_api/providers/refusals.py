"""Which part of the usual request an upstream refuses whatever its clients ask, and the setting without it. Pure."""

import re
from typing import Final, Literal, TypeAlias

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_contract.spec.providers import Compatibility

MAX_PUBLIC_CHARS: Final = 300

Part: TypeAlias = Literal["stream", "streamOptions"]
"""A part of the usual request: a field of `compatibility`."""

_STREAM_OPTIONS: Final = re.compile(r"stream[_ ]options|include_usage", re.IGNORECASE)
_STREAM: Final = re.compile(
    r"(?:verified to|cannot be|can't be|not be) stream|\bstream\b.{0,12}\bfalse\b"
    r"|(?:unsupported|unrecognized|not (?:support|allow|permit|enable)\w*)[^.]{0,40}\bstream"
    r"|\bstream(?:ing|ed)?\b[^.]{0,60}(?:unsupported|disabled|not (?:be|support|allow|permit|enable|avail|implement))",
    re.IGNORECASE,
)


def refused_part(error: ChatError, sent: Compatibility) -> Part | None:
    """Return which part of the usual request the upstream refused, if that part was sent and can be left out."""
    text = f"{error.message} {error.detail or ''}"
    if sent.stream and sent.stream_options and _STREAM_OPTIONS.search(text):
        return "streamOptions"
    return "stream" if sent.stream and _STREAM.search(text) else None


def with_remedy(error: ChatError, part: Part) -> ChatError:
    """Return `error` with the upstream's reason also for the client, and the setting that leaves `part` out."""
    words = error.message
    if error.code is not Code.UPSTREAM_REJECTED or words == error.facts.message:
        words = (error.detail or "").partition(": ")[2] or words
    message = f"{words[:MAX_PUBLIC_CHARS].rstrip('. ')}. Set compatibility.{part} of the provider to false."
    detail = f"{error.detail or error.message}; set compatibility.{part} to false"
    return ChatError(error.code, message, param=error.param, retry_after=error.retry_after, detail=detail)


def explained(error: ChatError, sent: Compatibility) -> ChatError:
    """Return `error` with its remedy, if there is one."""
    part = refused_part(error, sent)
    return with_remedy(error, part) if part else error


def no_embeddings(model: str) -> ChatError:
    """Return the error for a model whose provider has no embeddings."""
    message = f"The provider of model {model[:128]!r} has no embeddings. Use a model of an OpenAI-compatible provider."
    return ChatError(Code.INVALID_REQUEST, message, param="model")
