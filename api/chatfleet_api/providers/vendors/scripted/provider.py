"""The provider that answers from a script, with no upstream: for a first look, demonstrations, tests and benchmarks.

Its models' names are the script: `SCRIPT[:CODE][/SECONDS][@RATE]`.

- `echo` gives back the last user message, word by word; `story` is a short story; `count-N` counts from 1 to N.
- `tools` calls a tool, `reason` reasons, `schema` fills a JSON schema, `assistant` does what the request wants of
  these, and `refuse` refuses.
- `router` chooses the agent whose description has most of the words of the question, and `instructions` gives back the
  system instructions.
- `:CODE` fails with that error code where the script ends, so `count-0:upstream_overloaded` fails at once.
- `/SECONDS` begins later.
- `@RATE` paces the answer at that many tokens a second; without it the answer comes as fast as it is taken.

When the last message is the assistant's and begins as the script's text does, the text goes on from there.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from typing import Final

from chatfleet_api.domain.errors import ChatError
from chatfleet_api.domain.events import Piece, Reasoning, Usage
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.environment import Environment
from chatfleet_api.providers.own_dialect import require_translated
from chatfleet_api.providers.provider import Finish, GeneratorOpening, ItemBatch, Opening
from chatfleet_api.providers.refusals import no_embeddings
from chatfleet_api.providers.vendors.scripted.answers import WORD, answer_of, text_of
from chatfleet_api.providers.vendors.scripted.script import script_of
from chatfleet_contract.runtime import RuntimeProvider

MAX_BATCH: Final = 16
"""Tokens that an unpaced script hands out before others get their turn."""


class Scripted:
    """A `Provider` whose answers are known beforehand. Usage is exact: a token is a word, or the name of a tool."""

    def __init__(self, *, clock: Callable[[], float], sleep: Callable[[float], Awaitable[None]]) -> None:
        """Pace by `clock` and `sleep`, both in seconds."""
        self._clock = clock
        self._sleep = sleep

    def open(self, request: ChatRequest) -> Opening:
        return GeneratorOpening(self._recite(request))

    async def _recite(self, request: ChatRequest) -> AsyncGenerator[ItemBatch, None]:
        require_translated(request)
        script = script_of(request.model)
        if script.delay:
            await self._sleep(script.delay)
        answer = answer_of(script, request)
        pieces = answer.pieces if request.max_tokens is None else answer.pieces[: request.max_tokens]
        begun = self._clock()
        sent = 0
        while sent < len(pieces):
            due = sent + MAX_BATCH
            if script.rate:
                await self._sleep(max(0.0, begun + (sent + 1) / script.rate - self._clock()))
                due = max(sent + 1, int((self._clock() - begun) * script.rate))
            yield pieces[sent:due]
            sent = due
            await self._sleep(0)
        if len(pieces) < len(answer.pieces):
            yield (Finish("length", _usage(request, pieces)),)
        elif script.failure:
            raise ChatError(script.failure, detail="as scripted")
        else:
            yield (Finish(answer.reason, _usage(request, pieces)),)

    async def check(self, models: Collection[str] = ()) -> None:
        """Do nothing: there is no upstream."""

    async def count_tokens(self, request: ChatRequest) -> None:
        """Return nothing: a script has no count of its own."""

    def require_supported(self, request: ChatRequest) -> None:
        """Raise `ChatError(INVALID_REQUEST)` for what has no counterpart in the common terms."""
        require_translated(request)

    async def embed(self, model: str, body: bytes) -> bytes:  # noqa: ARG002  # the interface's
        raise no_embeddings(model)

    def outcome(self, model: str) -> None:
        """Return nothing: a script is known beforehand."""


def connect_scripted(_: RuntimeProvider, environment: Environment) -> Scripted:
    return Scripted(clock=environment.clock, sleep=asyncio.sleep)


def _usage(request: ChatRequest, sent: Sequence[Piece]) -> Usage:
    received = sum(len(WORD.findall(text_of(message))) for message in request.messages)
    reasoning = sum(isinstance(piece, Reasoning) for piece in sent)
    return Usage(input_tokens=received, output_tokens=len(sent), reasoning_tokens=reasoning)
