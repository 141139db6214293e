"""A provider for tests of the policies: each request plays its own sequence of batches, pauses and failures."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Token, Usage
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.provider import Finish, GeneratorOpening, Opening, StreamItem

DONE = Finish("stop", Usage(output_tokens=2))
ANSWER = ((Token("a"), Token("b")), 1.0, (DONE,))


def overloaded(retry_after: float | None = None) -> ChatError:
    return ChatError(Code.UPSTREAM_OVERLOADED, retry_after=retry_after)


class Playing:
    """A provider that plays one of `plays` for each request, the last one for ever: batches, pauses, failures."""

    def __init__(self, *plays: Sequence[Sequence[StreamItem] | float | ChatError]) -> None:
        self.plays = list(plays)
        self.asked: list[float] = []
        self.open_streams = 0
        self.most_open = 0

    def open(self, request: ChatRequest) -> Opening:  # noqa: ARG002  # the port's
        return GeneratorOpening(self._play())

    async def _play(self) -> AsyncGenerator[Sequence[StreamItem], None]:
        self.asked.append(asyncio.get_running_loop().time())
        play = self.plays.pop(0) if len(self.plays) > 1 else self.plays[0]
        self.open_streams += 1
        self.most_open = max(self.open_streams, self.most_open)
        try:
            for step in play:
                if isinstance(step, ChatError):
                    raise step
                if isinstance(step, int | float):
                    await asyncio.sleep(step)
                else:
                    yield step
        finally:
            self.open_streams -= 1
