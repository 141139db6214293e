"""The port that every upstream, real or scripted, plain or behind policies, answers through: open, then iterate."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, NamedTuple, Protocol, TypeAlias

import msgspec
from typing_extensions import override

from chatfleet_api.domain.events import Agent, Citation, Delta, FinishReason, Retrieval, Usage
from chatfleet_api.domain.request import ChatRequest
from chatfleet_contract.report import ModelOutcome


class Finish(msgspec.Struct, frozen=True, gc=False):
    """The provider's own word that the answer is whole."""

    reason: FinishReason
    usage: Usage
    provider: str | None = None
    """Name, in the catalogue, of the provider that answered; the catalogue adds it."""
    upstream_model: str | None = None
    """The provider's name of the model."""
    extra: dict[str, Any] | None = None
    """What came with the end beyond the common terms, for clients of the upstream's own dialect."""
    citations: tuple[Citation, ...] = ()
    """The chunks of documents that the model was given."""
    retrieval: Retrieval = ""


StreamItem: TypeAlias = Delta | Finish
AnswerItem: TypeAlias = Agent | StreamItem
"""No upstream brings the first: it stands before what an agent answers."""
ItemBatch: TypeAlias = Sequence[AnswerItem]
Stream: TypeAlias = AsyncIterator[ItemBatch]
Opening: TypeAlias = AbstractAsyncContextManager[Stream]


class Provider(Protocol):
    """Something that answers."""

    def open(self, request: ChatRequest) -> Opening:
        """Send `request` and open its answer: the block begins when the first batch has arrived.

        A batch is what one read of the upstream brought, and never empty. A stream that ends normally has yielded
        exactly one `Finish`, as its very last item. Anything else (a cut, an end without finish, silence, an error
        inside the stream) raises `ChatError` with an `UPSTREAM_*` code, on entering the block or on iterating. Leaving
        the block, also by cancellation at any moment, closes the upstream's connection before it returns.
        """
        ...


class Backend(Provider, Protocol):
    """A provider without policies: the upstream itself."""

    async def check(self, models: Collection[str] = ()) -> str | None:
        """Prove, by requests that cost nothing, that the upstream can be reached, accepts the key and has `models`.

        Returns what could not be proven, and what requests of clients have shown; raises `ChatError` if it is down.
        """
        ...

    async def count_tokens(self, request: ChatRequest) -> int | None:
        """Return the tokens of `request` as the upstream counts them; None: it has no count. Raises `ChatError`."""
        ...

    def require_supported(self, request: ChatRequest) -> None:
        """Raise `ChatError(INVALID_REQUEST)` for a part of `request` that the upstream's API does not have."""
        ...

    async def embed(self, model: str, body: bytes) -> bytes:
        """Return the upstream's answer to a request for embeddings by `model`, the provider's name of it.

        Raises `ChatError(INVALID_REQUEST)` when the provider has no embeddings, else as opening an answer does.
        """
        ...

    def outcome(self, model: str) -> ModelOutcome | None:
        """Return what requests and checks have shown of `model`, by the provider's name. Any thread may call this."""
        ...


class Colleague(NamedTuple):
    """An agent to which another one may hand over."""

    name: str
    description: str
    provider: "Delegating"


class Team(NamedTuple):
    """Whom an agent may hand over to, and what bounds an answer of several agents."""

    colleagues: tuple[Colleague, ...]
    max_handoffs: int
    max_steps: int
    """The choice of the first agent, and all requests to models after it."""


class Delegation(NamedTuple):
    """Who answers a request in the place of a provider."""

    name: str
    agent: Agent | None
    """What is announced first; None: it was announced."""
    provider: Provider
    request: ChatRequest
    team: Team


class Delegating(ABC):
    """What a provider is besides that has each request answered by another one: steps are taken with that one.

    A base class, not a protocol: every request needs it, and `isinstance` of a protocol takes 15 µs.
    """

    __slots__ = ()

    @abstractmethod
    async def delegate(self, request: ChatRequest) -> Delegation:
        """Return who answers; raises `ChatError`."""
        ...


class GeneratorOpening(AbstractAsyncContextManager[Stream], AsyncIterator[ItemBatch]):
    """Opens the stream that a generator yields: entered when the first batch is there, closed with the block.

    It costs a batch one call: `__anext__` hands out the generator's own awaitable and adds no frame.
    """

    __slots__ = ("_batches", "_first")

    def __init__(self, batches: AsyncGenerator[ItemBatch, None]) -> None:
        self._batches = batches
        self._first: ItemBatch | None = None

    @override
    async def __aenter__(self) -> Stream:
        self._first = await anext(self._batches)
        return self

    @override
    async def __aexit__(self, *exc_info: object) -> None:
        await self._batches.aclose()

    @override
    def __anext__(self) -> Awaitable[ItemBatch]:
        if self._first is None:
            return anext(self._batches)
        first, self._first = self._first, None
        return _ready(first)


class DeferredOpening(AbstractAsyncContextManager[Stream]):
    """Enters what `enter_stream` opens, and exits it with the block: for policies that open one of several."""

    __slots__ = ("_enter", "_opening")

    def __init__(self, enter_stream: "Callable[[], Awaitable[EnteredStream]]") -> None:
        self._enter = enter_stream

    @override
    async def __aenter__(self) -> Stream:
        self._opening, stream = await self._enter()
        return stream

    @override
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return await self._opening.__aexit__(kind, error, traceback)


EnteredStream: TypeAlias = tuple[Opening, Stream]
"""An entered block and its stream."""


async def enter(opening: Opening) -> EnteredStream:
    """Enter `opening`; the caller has to exit it."""
    return opening, await opening.__aenter__()


async def _ready(batch: ItemBatch) -> ItemBatch:
    return batch
