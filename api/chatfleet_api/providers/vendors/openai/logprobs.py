"""Parses a chat completion whose log probabilities a client of the Responses API wants. Pure."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from typing_extensions import override

from chatfleet_api.domain.events import Token
from chatfleet_api.domain.logprobs import FIELD, with_logprobs
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.provider import Finish, StreamItem
from chatfleet_api.providers.vendors.openai.stream import CompletionParser


class _Logprobs(msgspec.Struct):
    content: list[dict[str, Any]] | None = None


class _Part(msgspec.Struct):
    logprobs: _Logprobs | None = None


class _Document(msgspec.Struct):
    choices: list[_Part] | None = None


_decode: Final = msgspec.json.Decoder(_Document).decode
_WRONG: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class LogprobsParser(CompletionParser):
    """Parses the chunks of one chat completion, and puts log probabilities beside the text of each."""

    __slots__ = ("_all",)

    def __init__(self, request: ChatRequest) -> None:
        super().__init__(request)
        self._all: list[dict[str, Any]] = []

    @override
    def read(self, payload: bytes, items: list[StreamItem]) -> None:
        """Append to `items` what one chunk brings."""
        news: list[StreamItem] = []
        try:
            super().read(payload, news)
        finally:  # an answer that fails keeps its items
            items += self._beside(payload, news)

    @override
    def end(self) -> Finish:
        """Return the finish, with the log probabilities of the whole text."""
        end = super().end()
        return replace(end, extra={FIELD: self._all}) if self._all else end

    def _beside(self, payload: bytes, news: Sequence[StreamItem]) -> Sequence[StreamItem]:
        found = _logprobs(payload)
        first = next((item for item in news if isinstance(item, Token)), None)
        if not found or first is None:
            return news
        self._all += found
        return [with_logprobs(first, found) if item is first else item for item in news]


def _logprobs(payload: bytes) -> list[dict[str, Any]] | None:
    """Return the log probabilities of a chunk's text, or of a whole answer's; None when it has none."""
    try:
        choices = _decode(payload).choices
    except _WRONG:
        return None
    probabilities = choices[0].logprobs if choices else None
    return probabilities.content if probabilities else None
