"""A client that leaves, or loses its connection, and comes back to any pod, until it has its answer's end."""

import asyncio
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Final, NamedTuple

import aiohttp

from harness.clients.client import Client, NoStreamError, Question, Request, reader_for
from harness.clients.received import ReceivedStream

SILENCE: Final = 1.0
"""Seconds without an event after which it takes its connection as dead; scripts that it follows are never so slow."""
PAUSE: Final = 0.05
"""Seconds before it tries again when it was refused, or found no server."""


class FollowedStream(NamedTuple):
    """An answer, and how long its client waited, each time that it came back, for the next event."""

    received: ReceivedStream
    returns: list[float]


async def follow(
    client: Client, url: Callable[[], str], question: Question, *, stays: Iterator[float], patience: float
) -> FollowedStream:
    """Send the question, read to the end; leave after each of `stays` (seconds), and come back to the next `url`."""
    followed = FollowedStream(ReceivedStream(asked=monotonic()), [])
    received, reader = followed.received, reader_for(question.dialect)

    async def attempt(stay: float) -> None:
        """Read until the end of the answer, of the stay or of the connection."""
        before = len(received.waits)
        try:
            async with asyncio.timeout(stay):
                await client.receive(_request(url(), question, received), reader, received, silence=SILENCE)
        except (aiohttp.ClientError, NoStreamError):
            await asyncio.sleep(PAUSE)
        except TimeoutError:
            received.since = monotonic()
        if 0 < before < len(received.waits):
            followed.returns.append(received.waits[before])

    try:
        async with asyncio.timeout(patience):
            while not received.ends and received.closing != "clean":
                await attempt(next(stays))
    except TimeoutError:
        pass  # the end never came
    received.ended = monotonic()
    return followed


def _request(url: str, question: Question, seen: ReceivedStream) -> Request:
    """Return what brings the rest: the question itself, as long as nothing of the answer was seen."""
    if not seen.run:
        return question.request(url)
    last = seen.sequence[-1]
    if question.dialect == "native":
        path = f"/api/v1/conversations/{question.conversation}/stream"
        return Request("GET", f"{url}{path}", headers={"Last-Event-ID": f"{seen.run}-{last}"})
    return Request("GET", f"{url}/v1/responses/{seen.run}?stream=true&starting_after={last - 1}")
