"""Scrape cycles on virtual time, and one scrape over real HTTP on a Unix socket."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web

from chatfleet_contract import metrics
from chatfleet_metrics.samples.pods import Target
from chatfleet_metrics.samples.scrape import CONCURRENCY, MAX_RESPONSE_BYTES, HttpFetch, ScrapeError, Scraper
from chatfleet_metrics.samples.store import SampleStore
from chatfleet_operator.model.compare import quantity

ROOT = Path(__file__).parents[4]
GOOD = f"{metrics.ACTIVE_STREAMS} 3\n".encode()


class Metrics:
    """Records scrapes and cycles."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.cycles: list[tuple[int, float]] = []

    def scraped(self, outcome: str) -> None:
        self.outcomes[outcome] += 1

    def cycle_finished(self, pods: int, seconds: float) -> None:
        self.cycles.append((pods, seconds))


def fleet(count: int) -> SampleStore:
    made = SampleStore(5, asyncio.get_running_loop().time)
    metadata = [{"namespace": "shop", "name": f"p{i}", "uid": f"p{i}"} for i in range(count)]
    made.replace([{"metadata": each, "status": {"phase": "Running", "podIP": "10.0.0.1"}} for each in metadata])
    return made


def scraper(pods: SampleStore, fetch: Callable[[Target], Awaitable[bytes]]) -> tuple[Scraper, Metrics]:
    seen = Metrics()
    return Scraper(fetch, pods, seen), seen


@pytest.mark.looptime
async def test_pods_that_do_not_answer_delay_no_other_and_have_no_value() -> None:
    async def fetch(pod: Target) -> bytes:
        if pod.name == "p0":
            await asyncio.sleep(2)
            raise ScrapeError("no answer")
        return b"chatfleet_active_streams ?" if pod.name == "p1" else GOOD

    pods = fleet(4)
    made, seen = scraper(pods, fetch)
    await made.scrape_all()

    known = {pod.name for pod in pods if pods.value(pod.uid, metrics.ACTIVE_STREAMS)}
    assert known == {"p2", "p3"}
    assert seen.outcomes == {"ok": 2, "unreachable": 1, "unreadable": 1}
    assert seen.cycles == [(4, 2.0)]


@pytest.mark.looptime
async def test_with_a_third_of_ten_thousand_pods_dead_the_others_samples_stay_fresh() -> None:
    async def fetch(pod: Target) -> bytes:
        if int(pod.name[1:]) % 3 == 0:
            await asyncio.sleep(2)
            raise ScrapeError("no answer")
        return GOOD

    pods = fleet(10_000)
    made, seen = scraper(pods, fetch)
    await made.scrape_all()
    await made.scrape_all()

    assert seen.cycles[1][1] < 3 * pods.period
    assert sum(pods.value(pod.uid, metrics.ACTIVE_STREAMS) is not None for pod in pods) == 6_666


@pytest.mark.looptime
async def test_no_more_than_so_many_are_asked_at_a_time() -> None:
    under_way, most = 0, 0

    async def fetch(_pod: Target) -> bytes:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.1)
        under_way -= 1
        return GOOD

    await scraper(fleet(2 * CONCURRENCY), fetch)[0].scrape_all()

    assert most == CONCURRENCY


@pytest.mark.looptime
@pytest.mark.parametrize(("takes", "cycles"), [(1.0, 6), (8.0, 3)], ids=["in time", "too slow"])
async def test_rounds_follow_each_other_by_the_period_or_at_once(takes: float, cycles: int) -> None:
    async def fetch(_pod: Target) -> bytes:
        await asyncio.sleep(takes)
        return GOOD

    made, seen = scraper(fleet(1), fetch)
    with suppress(TimeoutError):
        await asyncio.wait_for(made.run(lambda: None), 27)

    assert len(seen.cycles) == cycles


async def _fetch(tmp_path: Path, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> bytes:
    app = web.Application()
    app.router.add_get("/metrics", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    path = str(tmp_path / "pod.sock")
    await web.UnixSite(runner, path).start()
    timeout = aiohttp.ClientTimeout(total=0.2)
    try:
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(path), timeout=timeout) as session:
            return await HttpFetch(session)(Target("u", "shop", "one", "10.0.0.1", {}))
    finally:
        await runner.cleanup()


async def test_a_pod_is_asked_for_our_series_alone_on_its_health_port(tmp_path: Path) -> None:
    asked: dict[str, Any] = {}

    async def answer(request: web.Request) -> web.Response:
        asked.update(host=request.host, names=request.query.getall("name[]"))
        return web.Response(body=GOOD)

    assert await _fetch(tmp_path, answer) == GOOD
    names = [metrics.ACTIVE_STREAMS, metrics.TOKENS_TOTAL, metrics.QUEUED_REQUESTS]
    assert asked == {"host": "10.0.0.1:8001", "names": names}


async def hangs(_request: web.Request) -> web.Response:
    await asyncio.sleep(5)
    return web.Response()


async def is_endless(_request: web.Request) -> web.Response:
    return web.Response(body=b"x" * (MAX_RESPONSE_BYTES + 1))


async def leads_elsewhere(request: web.Request) -> web.Response:
    if "elsewhere" in request.query:
        return web.Response(body=GOOD)
    raise web.HTTPFound("/metrics?elsewhere")


async def fails(_request: web.Request) -> web.Response:
    return web.Response(status=500)


@pytest.mark.parametrize("answer", [hangs, is_endless, leads_elsewhere, fails])
async def test_an_answer_of_another_kind_is_no_sample(
    tmp_path: Path, answer: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> None:
    with pytest.raises(ScrapeError):
        await _fetch(tmp_path, answer)


def test_all_that_are_asked_at_a_time_cannot_fill_the_memory_that_the_chart_gives() -> None:
    values = yaml.safe_load((ROOT / "charts/chatfleet/values.yaml").read_text())
    limit = quantity(values["metricsAPIServer"]["resources"]["limits"]["memory"])

    assert limit
    assert limit / 4 >= CONCURRENCY * MAX_RESPONSE_BYTES
