"""The short form of the benchmark: the harness works, and every subject that is ours streams all its tokens."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from chatfleet_lab.bench.client import COMPLETIONS, CONVERSATIONS, LoadError
from chatfleet_lab.bench.load import held, one_by_one, saturate
from chatfleet_lab.bench.measure import Seconds, measured
from chatfleet_lab.bench.processes import Cores
from chatfleet_lab.bench.subjects import CHATFLEET, DIRECT, OURS, RELAY, Launch, Subject, running
from chatfleet_lab.bench.workload import Workload


@pytest.fixture
def cores() -> Cores:
    """Whatever there is: nothing here depends on time."""
    usable = sorted(os.sched_getaffinity(0))
    return Cores(usable[0], usable[-1])


@pytest.mark.parametrize("subject", [DIRECT, *OURS, RELAY], ids=lambda subject: subject.key)
async def test_every_subject_streams_all_its_tokens(subject: Subject, tmp_path: Path, cores: Cores) -> None:
    async with running(subject, tmp_path, cores) as run:
        assert await one_by_one(run.target, Workload(20), seconds=0.2)
        assert await saturate(run.target, Workload(100), clients=4, seconds=0.2) >= 4
        async with held(run.target, Workload(1000, 50), streams=10) as tally:
            assert tally.tokens >= 10
        assert run.process.cpu().total > 0
        assert run.process.resident() > 1_000_000


@pytest.mark.timed
async def test_a_token_is_timed_from_the_upstreams_sending(tmp_path: Path, cores: Cores) -> None:
    async with running(DIRECT, tmp_path, cores) as run, held(run.target, Workload(20, 100), streams=1) as tally:
        connection = await run.target.connect(tally)
        await connection.stream(await COMPLETIONS.request(connection, Workload(5, 100)), Workload(5, 100), b"[DONE]")
        connection.transport.abort()
    assert len(tally.delays) == tally.tokens
    assert min(tally.sent_gaps) >= 5_000
    assert all(0 <= delay < 5_000_000 for delay in tally.delays)


async def test_a_stream_that_is_not_whole_is_an_error_and_no_figure(tmp_path: Path, cores: Cores) -> None:
    async with running(CHATFLEET, tmp_path, cores) as run:
        connection = await run.target.connect()
        request = await COMPLETIONS.request(connection, Workload(5))
        with pytest.raises(LoadError, match="5 of 6 tokens came"):
            await connection.stream(request, Workload(6), COMPLETIONS.ending)
        with pytest.raises(LoadError, match="5 of 5 tokens came"):
            await connection.stream(request, Workload(5), CONVERSATIONS.ending)


async def test_a_server_that_ends_is_an_error_with_its_last_words(tmp_path: Path, cores: Cores) -> None:
    launch = Launch((sys.executable, "-c", "raise SystemExit('no licence')"))
    with pytest.raises(RuntimeError, match="no licence"):
        async with running(Subject("broken", "", lambda _: launch), tmp_path, cores):
            pass


@pytest.mark.feature(54, 55)
async def test_all_figures_of_a_subject_are_measured(cores: Cores) -> None:
    quick = Seconds(one_by_one=0.2, saturate=0.2, steady=0.5, crowd=0.1, slow=0.1)
    few = replace(RELAY, steady=20, crowd=20)  # what this core can serve beside other tests
    figures = await measured(few, cores, quick)
    assert figures.cpu_per_token_us > 0
    assert figures.streams_per_core_s > 0
    assert 0 < figures.delivered < 1.2
    assert figures.per_stream_kb is not None
