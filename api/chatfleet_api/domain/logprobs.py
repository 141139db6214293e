"""Log probabilities of a text, beside it, for clients of the Responses API at upstreams of chat completions. Pure."""

from typing import Any, Final

import msgspec

from chatfleet_api.domain.events import Extended, Token

FIELD: Final = "logprobs"
"""Of the end of an answer: those of all of its text."""
_BEGINS: Final = b'{"type":"logprobs",'


class _Logprobs(msgspec.Struct):
    type: str
    logprobs: list[dict[str, Any]]


_decode: Final = msgspec.json.Decoder(_Logprobs).decode


def with_logprobs(token: Token, logprobs: list[Any]) -> Extended:
    """Return a text with the log probabilities of its tokens."""
    return Extended(msgspec.Raw(msgspec.json.encode(_Logprobs("logprobs", logprobs))), (token,))


def logprobs_of(event: Extended) -> list[dict[str, Any]] | None:
    """Return the log probabilities of a text; None when the event is another one."""
    extra = bytes(event.extra)
    return _decode(extra).logprobs if extra.startswith(_BEGINS) else None
