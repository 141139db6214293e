"""Scrape cycles: each pod's metrics once a period, concurrently, so that no pod waits for a slow one."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, Protocol
from urllib.parse import urlencode

import aiohttp

from chatfleet_contract import names
from chatfleet_metrics.samples.pods import Target
from chatfleet_metrics.samples.sample import SCRAPED, parse_exposition
from chatfleet_metrics.samples.store import SampleStore
from chatfleet_operator.process.prober import direct, read_body

TIMEOUT_SECONDS: Final = 2.0
"""A pod that takes longer has no sample in this cycle."""

CONCURRENCY: Final = 512
"""Scrapes at a time: with a third of 10,000 pods dead, a cycle still ends before the other pods' samples are stale."""

MAX_RESPONSE_BYTES: Final = 256 << 10
"""More than a pod ever sends. 512 responses of this size are a quarter of the chart's memory limit."""

IDLE_SECONDS: Final = 70.0
"""How long a connection is kept for the next cycle; a pod keeps it for 75 s. A new one doubles the cost of a scrape."""

QUERY: Final = urlencode([("name[]", name) for name in SCRAPED])
"""Limits a pod's answer to the scraped series."""

Fetch = Callable[[Target], Awaitable[bytes]]
"""Returns a pod's exposition; raises ScrapeError."""


class ScrapeError(Exception):
    """A pod did not answer with its metrics."""


class Metrics(Protocol):
    """Where scrapes are counted."""

    def scraped(self, outcome: str) -> None:
        """Count a scrape."""
        ...

    def cycle_finished(self, pods: int, seconds: float) -> None:
        """Record the number of pods in a cycle and its duration."""
        ...


class Scraper:
    """Scrapes all pods, period by period."""

    def __init__(self, fetch: Fetch, store: SampleStore, metrics: Metrics) -> None:
        self._fetch = fetch
        self._store = store
        self._metrics = metrics

    async def run(self, after_cycle: Callable[[], None]) -> None:
        """Scrape until cancelled. A cycle longer than the period is followed by the next one at once."""
        while True:
            started = self._store.clock()
            await self.scrape_all()
            after_cycle()
            await asyncio.sleep(max(0.0, started + self._store.period - self._store.clock()))

    async def scrape_all(self) -> None:
        targets, started = list(self._store), self._store.clock()
        pending = iter(targets)
        async with asyncio.TaskGroup() as group:
            for _ in range(min(CONCURRENCY, len(targets))):
                group.create_task(self._work(pending))
        self._metrics.cycle_finished(len(targets), self._store.clock() - started)

    async def _work(self, pending: Iterator[Target]) -> None:
        for pod in pending:
            self._metrics.scraped(await self._scrape(pod))

    async def _scrape(self, pod: Target) -> str:
        try:
            self._store.record(pod, parse_exposition(await self._fetch(pod)))
        except ScrapeError:
            return "unreachable"
        except (ValueError, IndexError):
            return "unreadable"
        return "ok"


class HttpFetch:
    """`Fetch` over HTTP from the pods' health port, without redirects and proxies."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def __call__(self, pod: Target) -> bytes:
        url = f"{direct(pod.ip, names.PORT_HEALTH)}{names.PATH_METRICS}?{QUERY}"
        try:
            async with self._session.get(url, allow_redirects=False) as response:
                if response.status != 200:  # noqa: PLR2004
                    raise ScrapeError(f"HTTP {response.status}")
                return await read_body(response, MAX_RESPONSE_BYTES)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ScrapeError(str(error) or type(error).__name__) from error


def open_session() -> aiohttp.ClientSession:
    """Return the session for scraping; it keeps connections, as the same pods are scraped again and again."""
    connector = aiohttp.TCPConnector(limit=CONCURRENCY, keepalive_timeout=IDLE_SECONDS)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    return aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
