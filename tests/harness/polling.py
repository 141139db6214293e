"""The one poller: waits for what no event announces, in other processes mostly. Nothing else in the harness sleeps."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

LOOK_SECONDS = 0.02
"""Between two looks of coroutines."""


def eventually(holds: Callable[[], object], *, seconds: float = 30, every: float = 0.25) -> None:
    """Return as soon as `holds()` is true.

    Raises:
        TimeoutError: it was not within `seconds`; the message has its last value, or its last failed assertion.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            last: object = holds()
        except (AssertionError, TimeoutError) as failed:
            last = failed
        else:
            if last:
                return
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s; last: {last!r}")
        time.sleep(every)


def remains(holds: Callable[[], object], *, seconds: float, every: float = 0.5) -> None:
    """Return after `seconds` in which `holds()` was true at every look.

    For programs of others, whose clocks are not ours to turn: Kubernetes' controllers look once in some seconds.

    Raises:
        AssertionError: it was not.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = holds()
        assert value, f"did not remain so for {seconds:g} s; now: {value!r}"
        time.sleep(every)


async def eventually_async(
    holds: Callable[[], Awaitable[object] | object], *, seconds: float = 30, every: float = LOOK_SECONDS
) -> None:
    """Do as `eventually` does, in an event loop; a look that takes too long is cancelled."""
    last: object = None
    try:
        async with asyncio.timeout(seconds):
            while not (last := await _value(holds)):  # noqa: ASYNC110  # it happens in other processes
                await asyncio.sleep(every)
    except TimeoutError as late:
        raise TimeoutError(f"not within {seconds:g} s; last: {last!r}") from late


async def _value(holds: Callable[[], Awaitable[object] | object]) -> object:
    value = holds()
    return await value if inspect.isawaitable(value) else value
