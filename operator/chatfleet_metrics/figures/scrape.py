"""The rounds of scrapes: every pod's own figures, once a period, as cheaply as possible and never waiting for one."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, Protocol
from urllib.parse import urlencode

import aiohttp

from chatfleet_contract import names
from chatfleet_metrics.figures.pods import Target
from chatfleet_metrics.figures.samples import SCRAPED, read_exposition
from chatfleet_metrics.figures.store import Fleet
from chatfleet_operator.process.prober import direct, read_body

TIMEOUT_SECONDS: Final = 2.0
"""A pod that takes longer has no figure this time."""

AT_A_TIME: Final = 512
"""Scrapes under way: with a third of 10,000 pods dead, a round still ends before the others' samples are stale."""

SCRAPE_BYTES: Final = 256 << 10
"""More than any honest answer. All that are asked at a time may send as much: a quarter of the chart's memory limit."""

IDLE_SECONDS: Final = 70.0
"""How long a connection is kept for the next round: a pod keeps it for 75 s. A new one doubles the cost of a scrape."""

QUERY: Final = urlencode([("name[]", name) for name in SCRAPED])
"""Asks for our series alone."""

Fetch = Callable[[Target], Awaitable[bytes]]
"""Returns a pod's exposition; raises ScrapeError."""


class ScrapeError(Exception):
    """A pod did not tell its figures."""


class Watch(Protocol):
    """Where the rounds are told of."""

    def scraped(self, outcome: str) -> None:
        """Count a scrape."""
        ...

    def round(self, pods: int, seconds: float) -> None:
        """Show the last round: how many pods there were, and how long it took."""
        ...


class Scraper:
    """Asks all pods for their figures, period by period."""

    def __init__(self, fetch: Fetch, fleet: Fleet, watch: Watch) -> None:
        self._fetch = fetch
        self._fleet = fleet
        self._watch = watch

    async def run(self, after_round: Callable[[], None]) -> None:
        """Scrape for ever. A round that takes longer than the period is followed by the next at once."""
        while True:
            started = self._fleet.clock()
            await self.round()
            after_round()
            await asyncio.sleep(max(0.0, started + self._fleet.period - self._fleet.clock()))

    async def round(self) -> None:
        """Scrape each pod once."""
        targets, started = list(self._fleet), self._fleet.clock()
        waiting = iter(targets)
        async with asyncio.TaskGroup() as group:
            for _ in range(min(AT_A_TIME, len(targets))):
                group.create_task(self._work(waiting))
        self._watch.round(len(targets), self._fleet.clock() - started)

    async def _work(self, waiting: Iterator[Target]) -> None:
        for pod in waiting:
            self._watch.scraped(await self._scrape(pod))

    async def _scrape(self, pod: Target) -> str:
        try:
            self._fleet.add(pod, read_exposition(await self._fetch(pod)))
        except ScrapeError:
            return "unreachable"
        except (ValueError, IndexError):
            return "unreadable"
        return "ok"


class HttpFetch:
    """`Fetch` over HTTP from the pods' health port. No redirect is followed and no proxy used."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def __call__(self, pod: Target) -> bytes:
        """Return what the pod tells."""
        url = f"{direct(pod.ip, names.PORT_HEALTH)}/metrics?{QUERY}"
        try:
            async with self._session.get(url, allow_redirects=False) as response:
                if response.status != 200:  # noqa: PLR2004
                    raise ScrapeError(f"HTTP {response.status}")
                return await read_body(response, SCRAPE_BYTES)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ScrapeError(str(error) or type(error).__name__) from error


def open_session() -> aiohttp.ClientSession:
    """Return the session for scraping; connections are kept, as the same pods are asked again and again."""
    connector = aiohttp.TCPConnector(limit=AT_A_TIME, keepalive_timeout=IDLE_SECONDS)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    return aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
