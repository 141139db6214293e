"""Goes on with an answer that was cut: the text so far is the last message, and what is yielded follows it."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from msgspec.structs import replace

from chatfleet_api.domain.events import Token
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.provider import Piece, Provider
from chatfleet_contract.providers import Continuation


class Continuing:
    """A `Provider` that takes requests that continue, besides all others.

    The space at the text's end is not sent: Anthropic refuses it, and models were not trained to go on after one. They
    say it again, so it is taken off what they say first.
    """

    def __init__(self, inner: Provider, continuation: Continuation) -> None:
        """Ask `inner`: with the mark `continues` when it is to be asked to go on, without where that goes by itself."""
        self._inner = inner
        self._marked = continuation == "continueFinalMessage"

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Piece], None]:
        """Ask, and yield the answer, or the rest of it, as it comes."""
        said = ""
        if request.continues:
            request, said = without_space(request)
            request = replace(request, continues=request.continues and self._marked)
        async with aclosing(self._inner.stream(request)) as batches:
            async for pieces in batches:
                rest, said = unsaid(pieces, said) if said else (pieces, "")
                if rest:
                    yield rest

    async def check(self) -> None:
        """Check the upstream."""
        await self._inner.check()


def without_space(request: ChatRequest) -> tuple[ChatRequest, str]:
    """Return what to ask so that `request` is continued, and the space at its end that is not sent."""
    *before, last = request.messages
    text = last.content if isinstance(last.content, str) else ""
    sent = text.rstrip()
    messages = (*before, replace(last, content=sent)) if sent else tuple(before)
    return replace(request, messages=messages, continues=bool(sent)), text[len(sent) :]


def unsaid(pieces: Sequence[Piece], said: str) -> tuple[Sequence[Piece], str]:
    """Return what `pieces` say beyond the text `said`, and how much of `said` they may still repeat."""
    rest: list[Piece] = []
    for piece in pieces:
        if not isinstance(piece, Token):
            rest.append(piece)
            continue
        same = _common(piece.text, said)
        said = said[same:] if same == len(piece.text) else ""
        if same < len(piece.text):
            rest.append(Token(piece.text[same:]))
    return rest, said


def _common(text: str, said: str) -> int:
    """Return how many characters both begin with."""
    return next(
        (at for at, (one, other) in enumerate(zip(text, said, strict=False)) if one != other), min(len(text), len(said))
    )
