"""The port that every upstream, real or scripted, plain or wrapped, answers through."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol, TypeAlias

import msgspec

from chatfleet_api.domain.events import Delta, FinishReason, Usage
from chatfleet_api.domain.request import ChatRequest


class Finish(msgspec.Struct, frozen=True, gc=False):
    """The provider's own word that the answer is whole."""

    reason: FinishReason
    usage: Usage
    provider: str | None = None
    """Name, in the catalogue, of the provider that answered; the catalogue adds it."""
    upstream_model: str | None = None
    """The provider's name of the model."""


Piece: TypeAlias = Delta | Finish


class Provider(Protocol):
    """Something that answers.

    `stream` yields what one read of the upstream brought, as a non-empty sequence of pieces. A stream that ends
    normally has yielded exactly one `Finish`, as its very last piece; anything else (a cut, an end without finish,
    silence, an error inside the stream) raises `ChatError` with an `UPSTREAM_*` code. Use it as
    `async with aclosing(provider.stream(request)) as batches:`: leaving the block, also by cancellation at any moment,
    closes the upstream's connection before it returns.
    """

    def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Piece], None]:
        """Ask, and yield the answer as it comes."""
        ...

    async def check(self) -> None:
        """Prove, by a request that costs nothing, that the upstream can be reached and takes the credentials.

        Raises `ChatError` when it cannot or does not.
        """
        ...
