"""The provider that answers from a script, with no upstream: for a first look, demonstrations, tests and benchmarks.

Its models' names are the script: `SCRIPT[:CODE][@RATE]`.

- `echo` gives back the last user message, word by word; `story` is a short story; `count-N` counts from 1 to N.
- `:CODE` fails with that error code where the script ends, so `count-0:upstream_overloaded` fails at once.
- `@RATE` paces the answer at that many tokens a second; without it the answer comes as fast as it is taken.

When the last message is the assistant's and begins as the script does, the script goes on from there.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Token, Usage
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.providers.environment import Environment
from chatfleet_api.providers.own_dialect import require_translated
from chatfleet_api.providers.provider import Finish, GeneratorOpening, ItemBatch, Opening
from chatfleet_api.providers.refusals import no_embeddings
from chatfleet_contract.runtime import RuntimeProvider

MAX_BATCH: Final = 16
"""Tokens that an unpaced script hands out before others get their turn."""

_NAME: Final = re.compile(r"(?P<script>echo|story|count-(?P<count>\d{1,7}))(:(?P<code>[a-z_]+))?(@(?P<rate>\d{1,6}))?")
_HELP: Final = "A scripted model is named echo, story or count-N, then :CODE to fail and @RATE for tokens a second."
_WORD: Final = re.compile(r"\s*\S+")
_STORY: Final = (
    "A ship's radio operator kept a notebook in which she wrote down every word that came through the static, "
    "each with its number. One night the lightning took her set in the middle of a message. The captain of the "
    "ship behind had heard the same call, and had numbered it as she did; so when her lamp blinked over to him "
    "asking for everything after word forty-one, he read her the rest, and not one word twice. In the morning "
    "both notebooks said the same thing. The harbour master, who had sent the message, never learned that "
    "anything had happened at all, and that, she said later, pouring the coffee, is what a good night's work "
    "looks like."
)


class _Script(NamedTuple):
    tokens: Sequence[str]
    failure: Code | None
    rate: int | None
    """Tokens a second."""


class Scripted:
    """A `Provider` whose answers are known beforehand. Usage is exact: a token is a word."""

    def __init__(self, *, clock: Callable[[], float], sleep: Callable[[float], Awaitable[None]]) -> None:
        """Pace by `clock` and `sleep`, both in seconds."""
        self._clock = clock
        self._sleep = sleep

    def open(self, request: ChatRequest) -> Opening:
        return GeneratorOpening(self._recite(request))

    async def _recite(self, request: ChatRequest) -> AsyncGenerator[ItemBatch, None]:
        require_translated(request)
        script = _script(request)
        limit = len(script.tokens) if request.max_tokens is None else request.max_tokens
        tokens = [Token(token) for token in script.tokens[:limit]]
        begun = self._clock()
        sent = 0
        while sent < len(tokens):
            due = sent + MAX_BATCH
            if script.rate:
                await self._sleep(max(0.0, begun + (sent + 1) / script.rate - self._clock()))
                due = max(sent + 1, int((self._clock() - begun) * script.rate))
            yield tokens[sent:due]
            sent = due
            await self._sleep(0)
        if limit < len(script.tokens):
            yield (Finish("length", _usage(request, limit)),)
        elif script.failure:
            raise ChatError(script.failure, detail="as scripted")
        else:
            yield (Finish("stop", _usage(request, len(tokens))),)

    async def check(self, models: Collection[str] = ()) -> None:
        """Do nothing: there is no upstream."""

    async def count_tokens(self, request: ChatRequest) -> None:
        """Return nothing: a script has no count of its own."""

    async def embed(self, model: str, body: bytes) -> bytes:  # noqa: ARG002  # the interface's
        raise no_embeddings(model)

    def outcome(self, model: str) -> None:
        """Return nothing: a script is known beforehand."""


def connect_scripted(_: RuntimeProvider, environment: Environment) -> Scripted:
    return Scripted(clock=environment.clock, sleep=asyncio.sleep)


def _script(request: ChatRequest) -> _Script:
    """Parse the script; raise `ChatError(MODEL_NOT_FOUND)` when the name is none."""
    name = _NAME.fullmatch(request.model)
    if name is None or name["code"] not in (None, *Code):
        raise ChatError(Code.MODEL_NOT_FOUND, _HELP, param="model")
    if name["count"]:
        tokens = [f" {number}" if number > 1 else "1" for number in range(1, int(name["count"]) + 1)]
    else:
        tokens = _WORD.findall(_STORY if name["script"] == "story" else _last_words(request.messages))
    tokens = tokens[_already_sent(tokens, request.messages[-1]) :] if request.messages else tokens
    return _Script(tokens, Code(name["code"]) if name["code"] else None, int(name["rate"] or 0) or None)


def _already_sent(tokens: Sequence[str], last: Message) -> int:
    """Return how many of `tokens` are in the assistant's message `last`."""
    sent = _text(last) if last.role == "assistant" else ""
    ends = accumulate(map(len, tokens))
    number = next((number for number, end in enumerate(ends, 1) if end >= len(sent)), 0) if sent else 0
    return number if "".join(tokens[:number]) == sent else 0


def _last_words(messages: Sequence[Message]) -> str:
    return next((_text(message) for message in reversed(messages) if message.role == "user"), "")


def _text(message: Message) -> str:
    parts = message.content or ""
    return parts if isinstance(parts, str) else " ".join(getattr(part, "text", "") for part in parts)


def _usage(request: ChatRequest, sent: int) -> Usage:
    received = sum(len(_WORD.findall(_text(message))) for message in request.messages)
    return Usage(input_tokens=received, output_tokens=sent)
