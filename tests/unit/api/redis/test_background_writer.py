"""What gathers in a pod is written, on virtual time, whatever Redis does."""

import asyncio

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.redis.background_writer import CLOSING_SECONDS, RETRY_SECONDS, BackgroundWriter

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


class Gathered:
    """Lines that wait, and those that Redis has taken; it is away until `returns`."""

    def __init__(self, returns: float = 0.0, delay: float = 0.0) -> None:
        self.waiting: list[str] = []
        self.taken: list[tuple[float, list[str]]] = []
        self.tries = 0
        self.lost = 0
        self._returns = returns
        self.writer = BackgroundWriter(self._write, self._lose, delay=delay)

    def add(self, line: str) -> None:
        self.waiting.append(line)
        self.writer.wake()

    async def _write(self) -> None:
        self.tries += 1
        if now() < self._returns:
            raise ChatError(Code.STORAGE_UNAVAILABLE)
        if self.waiting:
            self.taken.append((now(), self.waiting))
            self.waiting = []

    def _lose(self) -> None:
        self.lost = len(self.waiting)


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_lines_that_come_within_the_delay_are_written_together() -> None:
    gathered = Gathered(delay=0.05)
    async with gathered.writer.running():
        gathered.add("a")
        gathered.add("b")
        await asyncio.sleep(1)
        assert gathered.taken == [(0.05, ["a", "b"])]
        await asyncio.sleep(60)
        assert gathered.tries == 1


async def test_after_an_outage_all_is_written_without_a_further_line() -> None:
    gathered = Gathered(returns=3.5)
    async with gathered.writer.running():
        gathered.add("a")
        await asyncio.sleep(10)
        assert gathered.taken == [(4 * RETRY_SECONDS, ["a"])]


async def test_the_end_of_the_pod_writes_the_rest() -> None:
    gathered = Gathered(delay=60)
    async with gathered.writer.running():
        gathered.add("a")
    assert gathered.taken == [(0.0, ["a"])]
    assert not gathered.lost


async def test_the_end_of_the_pod_waits_some_seconds_for_redis_and_then_reports_what_is_lost() -> None:
    gathered = Gathered(returns=1000.0)
    async with gathered.writer.running():
        gathered.add("a")
    assert (now(), gathered.taken, gathered.lost) == (CLOSING_SECONDS, [], 1)
