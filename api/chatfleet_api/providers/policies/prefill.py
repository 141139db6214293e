"""Continues an answer that was cut: the text so far is sent as the last message, and what is yielded follows it."""

from collections.abc import AsyncGenerator

from msgspec.structs import replace

from chatfleet_api.domain.events import Token
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.provider import AnswerItem, GeneratorOpening, ItemBatch, Opening, Provider
from chatfleet_contract.spec.provider_types import Continuation


class Prefill:
    """A `Provider` that continues answers, besides taking all other requests.

    The space at the text's end is not sent: Anthropic refuses it, and models were not trained to go on after one. They
    repeat it, so it is removed from the beginning of their answer.
    """

    def __init__(self, inner: Provider, continuation: Continuation) -> None:
        """Mark requests as `continues` where the upstream needs the mark, and not where it goes on by itself."""
        self._inner = inner
        self._marked = continuation == "continueFinalMessage"

    def open(self, request: ChatRequest) -> Opening:
        return GeneratorOpening(self._continued(request)) if request.continues else self._inner.open(request)

    async def _continued(self, request: ChatRequest) -> AsyncGenerator[ItemBatch, None]:
        request, repeated = without_space(request)
        request = replace(request, continues=request.continues and self._marked)
        async with self._inner.open(request) as stream:
            async for items in stream:
                rest, repeated = without_repetition(items, repeated) if repeated else (items, "")
                if rest:
                    yield rest


def without_space(request: ChatRequest) -> tuple[ChatRequest, str]:
    """Return the request to send, and the space at its end that is not sent."""
    *before, last = request.messages
    text = last.content if isinstance(last.content, str) else ""
    sent = text.rstrip()
    messages = (*before, replace(last, content=sent)) if sent else tuple(before)
    return replace(request, messages=messages, continues=bool(sent)), text[len(sent) :]


def without_repetition(items: ItemBatch, repeated: str) -> tuple[ItemBatch, str]:
    """Return `items` without the beginning of `repeated`, and how much of it later ones may still repeat."""
    rest: list[AnswerItem] = []
    for item in items:
        if not isinstance(item, Token):
            rest.append(item)
            continue
        same = _common(item.text, repeated)
        repeated = repeated[same:] if same == len(item.text) else ""
        if same < len(item.text):
            rest.append(Token(item.text[same:]))
    return rest, repeated


def _common(text: str, other: str) -> int:
    """Return how many characters both begin with."""
    different = (at for at, pair in enumerate(zip(text, other, strict=False)) if pair[0] != pair[1])
    return next(different, min(len(text), len(other)))
