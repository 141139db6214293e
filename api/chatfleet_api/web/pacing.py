"""A steady pace of tokens for one client: `streaming.tokenDelayMilliseconds`. Producers and logs know nothing of it."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from chatfleet_api.domain.events import Event, Extended, Reasoning, Token
from chatfleet_api.runs.tail import Batch


def paced(
    read: Callable[[int], AsyncGenerator[Batch, None]], delay: Callable[[], float]
) -> Callable[[int], AsyncGenerator[Batch, None]]:
    """Return `read` with at least `delay()` seconds between two tokens, visible or of reasoning.

    Everything else comes as soon as what is before it has come.
    """

    async def read_paced(after: int) -> AsyncGenerator[Batch, None]:
        now, due = asyncio.get_running_loop().time, 0.0
        async with aclosing(read(after)) as batches:
            async for batch in batches:
                for seq, event in enumerate(batch.events, batch.first):
                    if _is_token(event):
                        await asyncio.sleep(max(0.0, due - now()))
                        due = now() + delay()
                    yield Batch(seq, (event,))

    return read_paced


def _is_token(event: Event) -> bool:
    return isinstance(event, Token | Reasoning) or (isinstance(event, Extended) and bool(event.pieces))
