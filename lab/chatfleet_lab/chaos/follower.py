"""A client that leaves, or loses its connection, and comes back to any pod, until it has its answer's end."""

import asyncio
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Final, NamedTuple

import aiohttp

from chatfleet_lab.chaos.client import Client, NoStreamError, Question, Request, reading_of
from chatfleet_lab.chaos.reception import Reception

SILENCE: Final = 1.0
"""Seconds without an event after which it takes its connection for dead; scripts that it follows are never so slow."""
PAUSE: Final = 0.05
"""Seconds before it tries again when it was refused, or found nobody."""


class Journey(NamedTuple):
    """An answer, and how long its client waited, each time that it came back, for the next event."""

    reception: Reception
    returns: list[float]


async def follow(
    client: Client, url: Callable[[], str], question: Question, *, stays: Iterator[float], patience: float
) -> Journey:
    """Ask, and read to the end; leave after each of `stays` (seconds), and come back to the next `url`."""
    journey = Journey(Reception(asked=monotonic()), [])
    reception, reading = journey.reception, reading_of(question.dialect)

    async def leg(stay: float) -> None:
        """Read until the end of the answer, of the stay or of the connection."""
        heard = len(reception.waits)
        try:
            async with asyncio.timeout(stay):
                await client.receive(_request(url(), question, reception), reading, reception, silence=SILENCE)
        except (aiohttp.ClientError, NoStreamError):
            await asyncio.sleep(PAUSE)
        except TimeoutError:
            reception.since = monotonic()
        if 0 < heard < len(reception.waits):
            journey.returns.append(reception.waits[heard])

    try:
        async with asyncio.timeout(patience):
            while not reception.ends and reception.closing != "clean":
                await leg(next(stays))
    except TimeoutError:
        pass  # the end never came
    reception.ended = monotonic()
    return journey


def _request(url: str, question: Question, seen: Reception) -> Request:
    """Return what brings the rest: the question itself, as long as nothing of the answer was seen."""
    if not seen.run:
        return question.request(url)
    last = seen.sequence[-1]
    if question.dialect == "native":
        path = f"/api/v1/conversations/{question.conversation}/stream"
        return Request("GET", f"{url}{path}", headers={"Last-Event-ID": f"{seen.run}-{last}"})
    return Request("GET", f"{url}/v1/responses/{seen.run}?stream=true&starting_after={last - 1}")
