"""What an upstream refuses whatever its clients ask: a part of the usual request, the API key, a model. Pure.

A check by a request that costs nothing cannot find all of it, so what clients' requests met is remembered.
"""

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, Literal, NamedTuple, TypeAlias

from pydantic import SecretStr

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_contract.spec.providers import Compatibility

REMEMBERED_SECONDS: Final = 600.0
"""How long a refusal counts without a newer answer."""

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
_SETUP: Final = frozenset(
    {HTTPStatus.UNAUTHORIZED, HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}
)
"""Statuses about the key, the account or the model. Only the first is never about one request alone."""


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


class _Refusal(NamedTuple):
    """What an upstream answered to requests for one model."""

    reason: str
    certain: bool
    """Whether it refuses all requests for this model."""
    key: SecretStr | None
    at: float


class Verdict(NamedTuple):
    """What requests have shown of an upstream."""

    reasons: str | None
    """Refusals that stand."""
    down: bool
    """Whether it refuses all models that were requested, whatever the request."""


class Refusals:
    """The newest outcome for each model of one upstream."""

    def __init__(self, sent: Compatibility, clock: Callable[[], float]) -> None:
        """Judge requests that have what `sent` does not leave out."""
        self._sent = sent
        self._clock = clock
        self._newest: dict[str, _Refusal | None] = {}

    @property
    def any_answered(self) -> bool:
        """Whether the newest request for some model was answered."""
        return None in self._newest.values()

    def answered(self, model: str) -> None:
        """Forget what was refused for `model`."""
        self._newest[model] = None

    def learned(self, model: str, error: ChatError, *, status: int, key: SecretStr | None) -> ChatError:
        """Return `error`, with its remedy if there is one; remember it if other requests for `model` would get it."""
        part = refused_part(error, self._sent)
        error = with_remedy(error, part) if part else error
        if part or status in _SETUP:
            certain = part is not None or status == HTTPStatus.UNAUTHORIZED
            self._newest[model] = _Refusal(error.detail or error.message, certain, key, self._clock())
        return error

    def verdict(self, key: SecretStr | None) -> Verdict:
        """Return what follows for requests with `key`; refusals of another key, and old ones, do not count."""
        standing = {
            model: refusal
            for model, refusal in self._newest.items()
            if refusal and refusal.key == key and self._clock() - refusal.at <= REMEMBERED_SECONDS
        }
        if not standing:
            return Verdict(None, down=False)
        reasons = "; ".join(f"requests for model {model} fail: {refusal.reason}" for model, refusal in standing.items())
        down = not self.any_answered and all(refusal.certain for refusal in standing.values())
        return Verdict(reasons, down=down)
