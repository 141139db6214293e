"""What one subject costs under every load of the benchmark.

Each crowd of open streams meets a process of its own, for a server may go on with streams that their clients broke off.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from chatfleet_lab.bench.client import LoadError, TokenTimes
from chatfleet_lab.bench.load import held, one_by_one, saturate
from chatfleet_lab.bench.processes import Cores, Cpu, busy
from chatfleet_lab.bench.subjects import Running, Subject, running
from chatfleet_lab.bench.workload import Workload
from chatfleet_lab.chaos.measure import percentile

SHORT: Final = Workload(20)
LONG: Final = Workload(100)
CLIENTS: Final = 32
STEADY: Final = Workload(1_000_000, 50)
CROWD: Final = Workload(1_000_000, 20)
SLOW: Final = Workload(1_000_000, 2)
WARM_SECONDS: Final = 0.5
SATURATED: Final = 0.98
"""A server that delivers a smaller share of the tokens than this has no answer to more of them."""


class Seconds(msgspec.Struct, frozen=True):
    """How long each load lasts, beyond the opening of its streams."""

    one_by_one: float = 2.0
    saturate: float = 3.0
    steady: float = 6.0
    crowd: float = 5.0
    slow: float = 1.0


class Figures(msgspec.Struct, frozen=True):
    """One subject's costs; None where a load does not apply, or was more than it could bear."""

    ready_s: float
    """From the start of the process to the end of its first stream."""
    idle_mb: float
    first_token_p50_ms: float
    """One client: from the request to the first token."""
    first_token_p99_ms: float
    streams_per_s: float
    """32 clients without a pause, streams of 100 unpaced tokens."""
    streams_per_core_s: float
    """The same per second of processor time."""
    cpu_per_token_us: float
    """100 streams of 50 tokens/s (20 for LiteLLM)."""
    kernel_share: float
    """How much of that was the kernel's."""
    delivered: float
    """Share of these tokens that came."""
    delay_p50_ms: float
    """From the upstream's sending of a token to its arrival."""
    delay_p99_ms: float
    others_share: float
    """Share of the server's core that the rest of the machine took meanwhile: how disturbed all this is."""
    per_stream_kb: float | None = None
    """Growth with 1,000 open streams of 2 tokens/s (200 for LiteLLM), per stream."""
    crowd_gap_p99_ms: float | None = None
    """1,000 streams of 20 tokens/s: p99 of the time between two tokens, beyond that of the upstream's own."""
    crowd_cpu_per_token_us: float | None = None


async def measured(subject: Subject, cores: Cores, seconds: Seconds) -> Figures:
    """Start a subject, put every load on it, and return what it cost."""
    per_stream = crowd = None
    async with _fresh(subject, cores) as run:
        figures = await _measured(subject, run, cores, seconds)
    if subject.launch is not None:
        async with _fresh(subject, cores) as run:
            per_stream = await _per_stream(subject, run, seconds.slow)
    if figures.delivered > SATURATED:
        async with _fresh(subject, cores) as run:
            crowd = await _crowd(subject, run, cores, seconds.crowd)
    return msgspec.structs.replace(
        figures,
        per_stream_kb=per_stream,
        crowd_gap_p99_ms=_added_gap_ms(crowd.times) if crowd else None,
        crowd_cpu_per_token_us=crowd.cpu_per_token_us if crowd else None,
    )


@asynccontextmanager
async def _fresh(subject: Subject, cores: Cores) -> AsyncIterator[Running]:
    with TemporaryDirectory(prefix="chatfleet-bench-") as folder:
        async with running(subject, Path(folder), cores) as run:
            yield run


async def _measured(subject: Subject, run: Running, cores: Cores, seconds: Seconds) -> Figures:
    """Return all figures but those of crowds."""
    idle = run.process.resident()
    first = await one_by_one(run.target, SHORT, seconds=seconds.one_by_one)
    before, begun = run.process.cpu(), time.monotonic()
    streams = await saturate(run.target, LONG, clients=CLIENTS, seconds=seconds.saturate)
    streams_per_s = streams / (time.monotonic() - begun)
    streams_per_core_s = streams / run.process.cpu().since(before).total
    async with held(run.target, STEADY, streams=subject.steady) as times:
        steady = await _Window.over(times, run, cores.server, seconds.steady)
    return Figures(
        ready_s=run.ready_seconds,
        idle_mb=idle / 1e6,
        first_token_p50_ms=percentile(first, 0.5) / 1000,
        first_token_p99_ms=percentile(first, 0.99) / 1000,
        streams_per_s=streams_per_s,
        streams_per_core_s=streams_per_core_s,
        cpu_per_token_us=steady.cpu_per_token_us,
        kernel_share=steady.cpu.kernel / steady.cpu.total,
        delivered=steady.tokens / (subject.steady * STEADY.rate * steady.seconds),
        delay_p50_ms=percentile(steady.times.delays, 0.5) / 1000,
        delay_p99_ms=percentile(steady.times.delays, 0.99) / 1000,
        others_share=steady.others,
    )


class _Window:
    """What happened while streams were open, from one moment to another."""

    times: TokenTimes
    cpu: Cpu
    seconds: float
    others: float

    @classmethod
    async def over(cls, times: TokenTimes, run: Running, core: int, seconds: float) -> "_Window":
        """Watch for some seconds, and forget what was before."""
        window, loop = cls(), asyncio.get_running_loop()
        for noted in (times.delays, times.gaps, times.sent_gaps):
            noted.clear()
        tokens, cpu, work, begun = times.tokens, run.process.cpu(), busy(core), loop.time()
        await asyncio.sleep(seconds)
        window.times = TokenTimes(times.tokens - tokens, [*times.delays], [*times.gaps], [*times.sent_gaps])
        window.seconds = loop.time() - begun
        window.cpu = run.process.cpu().since(cpu)
        window.others = (busy(core) - work - window.cpu.total) / window.seconds
        return window

    @property
    def tokens(self) -> int:
        return self.times.tokens

    @property
    def cpu_per_token_us(self) -> float:
        return self.cpu.total / max(1, self.tokens) * 1e6


async def _per_stream(subject: Subject, run: Running, seconds: float) -> float:
    """Return by how many KB the process grows for each stream that is open."""
    await one_by_one(run.target, SHORT, seconds=WARM_SECONDS)  # what any first request leaves behind is no stream's
    before = run.process.resident()
    async with held(run.target, SLOW, streams=subject.crowd):
        await asyncio.sleep(seconds)
        return (run.process.resident() - before) / subject.crowd / 1000


async def _crowd(subject: Subject, run: Running, cores: Cores, seconds: float) -> _Window | None:
    try:
        async with held(run.target, CROWD, streams=subject.crowd) as times:
            return await _Window.over(times, run, cores.server, seconds)
    except LoadError as error:
        sys.stderr.write(f"[bench]   {subject.key}: {error}\n")
        return None


def _added_gap_ms(times: TokenTimes) -> float:
    return (percentile(times.gaps, 0.99) - percentile(times.sent_gaps, 0.99)) / 1000


def typical(rounds: Sequence[Figures]) -> Figures:
    """Return the median of each figure; None where any round has none."""
    columns = zip(*map(msgspec.structs.astuple, rounds), strict=True)
    medians = (None if None in column else median(column) for column in columns)
    return msgspec.convert(dict(zip(Figures.__struct_fields__, medians, strict=True)), Figures)
