"""A pod that ends hands its runs over: nobody waits for its lease, no answer is cut, no client is told a false end."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic
from unittest.mock import patch

import pytest
from uuid_utils import uuid7

from chatfleet_api.chat.sending import NewMessage
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Complete, Failed
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.pod.lifecycle import drain_runs
from chatfleet_api.runs.log.interface import Moved
from chatfleet_contract.runtime import RuntimeConfig
from harness.clients.reader import Reader, begin
from harness.pods.api_process import ApiProcess, api_process, fetch, scripted
from harness.pods.fleet_pod import Following, acquainted, open_pod
from harness.pods.runs import CALLER, STOP, TENANT, FakeProvider, collect, text
from harness.polling import eventually, eventually_async
from harness.redis.topologies import RESTRICTED, TOPOLOGIES, Topologies

pytestmark = pytest.mark.lasts(30)

LEASE_SECONDS = 1.75
COUNT = 120
"""Words of the model, 20 a second."""


@pytest.mark.parametrize("topology", [*TOPOLOGIES, *RESTRICTED])
async def test_a_run_is_continued_elsewhere_at_once_and_followed_here(topologies: Topologies, topology: str) -> None:
    old, new = FakeProvider(text("one "), 600), FakeProvider(text("two"), [STOP])
    async with AsyncExitStack() as stack:
        url, name = topologies(topology), str(uuid7())
        first, second = [await open_pod(stack, url, script, "prefill", fleet=name) for script in (old, new)]
        conversation = (await first.chat.conversations.create(CALLER)).id
        run = await first.chat.conversations.send(CALLER, conversation, NewMessage("hi"))
        reader = asyncio.create_task(collect(run.read()))
        await acquainted(first, second)
        began = monotonic()
        assert await drain_runs(first.chat.pool, 0) == 0
        assert old.open_streams == 0
        events = await reader
        assert monotonic() - began < LEASE_SECONDS
        assert [seq for seq, _ in events] == [1, 2, 3, 4]
        assert isinstance(events[-1][1], Complete)
        assert (first.chat.pool.handed_over, second.chat.pool.taken_over) == (1, 1)
        kept = (await second.chat.sessions.messages(TENANT, conversation))[-1]
        assert (kept.content, kept.status) == ("one two", "complete")


async def test_a_run_that_nobody_can_take_over_is_interrupted(topologies: Topologies) -> None:
    """The stateless one, and every one when no other pod lives that does not end itself."""
    async with AsyncExitStack() as stack:
        url, name = topologies("single"), str(uuid7())
        pods = [await open_pod(stack, url, FakeProvider(text("one "), 600), fleet=name) for _ in range(2)]
        request = ChatRequest("m", (Message("user", "hi"),))
        alone = await pods[0].chat.completions.start(CALLER, request)
        shared = await pods[1].chat.completions.start(CALLER, request, retrievable=True)
        readers = [asyncio.create_task(collect(run.read())) for run in (alone, shared)]
        await acquainted(*pods)
        assert pods[1].fleet.has_successors()
        assert await drain_runs(pods[0].chat.pool, 0) == 1
        await eventually_async(lambda: not pods[1].fleet.has_successors())
        assert await drain_runs(pods[1].chat.pool, 0) == 1
        for reader in readers:
            ending = (await reader)[-1][1]
            assert isinstance(ending, Failed)
            assert ending.code is Code.INTERRUPTED


async def test_with_redis_away_runs_are_interrupted_and_not_lost(topologies: Topologies) -> None:
    async with AsyncExitStack() as stack:
        url, name = topologies("single"), str(uuid7())
        pods = [
            await open_pod(stack, url, FakeProvider(text("one "), 0.4, text("two "), 600), fleet=name) for _ in "ab"
        ]
        first = pods[0]
        await acquainted(*pods)
        run = await first.chat.completions.start(CALLER, ChatRequest("m", ()), retrievable=True)
        reader = Following(run.read())
        await reader.seen(2)
        first.redis.whole = False
        await reader.seen(3)
        assert await drain_runs(first.chat.pool, 0) == 1
        ending = (await reader.whole())[-1][1]
        assert isinstance(ending, Failed)
        assert ending.code is Code.INTERRUPTED


async def test_runs_that_were_stopped_and_could_not_be_handed_over_are_found_by_others(topologies: Topologies) -> None:
    url, name = topologies("single"), str(uuid7())
    async with AsyncExitStack() as stack, AsyncExitStack() as dying:
        second = await open_pod(stack, url, FakeProvider(text("two"), [STOP]), "prefill", fleet=name)
        first = await open_pod(dying, url, FakeProvider(text("one "), 600), "prefill", fleet=name)
        run = await first.chat.completions.start(CALLER, ChatRequest("m", ()), retrievable=True)
        await acquainted(first, second)
        flushes = iter([None, ChatError(Code.STORAGE_UNAVAILABLE)])  # Redis blinks between the two

        async def flushed(*_: object) -> None:
            if error := next(flushes):
                raise error

        with patch("chatfleet_api.runs.handoff._flush", flushed):
            await drain_runs(first.chat.pool, 0)
        await dying.aclose()
        async with asyncio.timeout(3 * LEASE_SECONDS):
            events = await collect(second.chat.pool.read(TENANT, run.id))
        assert isinstance(events[-1][1], Complete)


async def test_a_reader_of_another_pods_run_is_sent_away_when_this_one_ends(topologies: Topologies) -> None:
    async with AsyncExitStack() as stack:
        url, name = topologies("single"), str(uuid7())
        first, second = [await open_pod(stack, url, FakeProvider(text("one "), 600), fleet=name) for _ in "ab"]
        run = await first.chat.completions.start(CALLER, ChatRequest("m", ()), retrievable=True)
        reader = Following(second.chat.pool.read(TENANT, run.id))
        await reader.seen(2)
        second.chat.log.close_readers()
        with pytest.raises(Moved):
            await reader.whole()
        with pytest.raises(ChatError) as caught:
            await collect(second.chat.pool.read(TENANT, run.id))
        assert (caught.value.code, caught.value.retry_after) == (Code.DRAINING, 1)


def config(folder: Path, redis_url: str, **streaming: int) -> RuntimeConfig:
    (folder / "redis").write_text(redis_url)
    plain = scripted("endless", **streaming).model_dump() | {"redis_url_file": str(folder / "redis")}
    plain["models"] = [model | {"continuation": "prefill", "model": f"count-{COUNT}@20"} for model in plain["models"]]
    return RuntimeConfig.model_validate(plain)


@pytest.fixture
def pods(tmp_path: Path, redis_url: str) -> Iterator[tuple[ApiProcess, ApiProcess]]:
    """Two pods, each with a configuration of its own to be changed."""
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
    served = [config(folder, redis_url) for folder in folders]
    with api_process(folders[0], served[0]) as first, api_process(folders[1], served[1]) as second:
        yield first, second


def test_a_client_of_a_pod_that_ends_gets_the_whole_answer_from_another_pod(
    pods: tuple[ApiProcess, ApiProcess], tmp_path: Path, redis_url: str
) -> None:
    first, second = pods
    reader, conversation = Reader(), begin(first)
    with ThreadPoolExecutor(1) as thread:
        reading = thread.submit(reader.say, first, conversation)
        eventually(lambda: len(reader.ids) > 5)
        _end_within(first, tmp_path / "first", config(tmp_path / "first", redis_url, max_stream_seconds=1))
        reading.result(20)
    assert reader.saw_each_event_once()
    assert reader.text == " ".join(str(number) for number in range(1, COUNT + 1))
    assert reader.ending
    assert reader.ending[0] == "complete"
    assert first.program.exit_status() == 0
    report = second.health("/metrics").body.decode()
    assert 'chatfleet_run_takeovers_total{outcome="continued"} 1.0' in report


def _end_within(pod: ApiProcess, folder: Path, served: RuntimeConfig) -> None:
    (folder / "runtime.json").write_text(served.render())
    eventually(lambda: pod.health("/health").json["config"] == served.digest())
    pod.program.terminate()


def test_a_client_that_cannot_be_served_to_the_end_is_told_to_come_back(
    pods: tuple[ApiProcess, ApiProcess], tmp_path: Path, redis_url: str
) -> None:
    """After 11 s more of waiting and following its answer has not ended: `retry:`, a comment, and no ending."""
    first, second = pods
    reader, rest, conversation = Reader(), Reader(), begin(first)
    _answer_slowly(second, tmp_path / "second")
    with ThreadPoolExecutor(1) as thread:
        reading = thread.submit(reader.say, first, conversation)
        eventually(lambda: len(reader.ids) > 2)
        _end_within(first, tmp_path / "first", config(tmp_path / "first", redis_url, max_stream_seconds=1))
        reading.result(30)
    assert reader.ending is None
    assert reader.lines[-2] == "retry: 1000"
    assert reader.lines[-1].startswith(": this server is shutting down")
    assert first.program.exit_status() == 0
    rest.ids = [*reader.ids]
    assert fetch(f"{second.url}{conversation}/cancel", {}).status == 202
    rest.join(second, conversation)
    assert rest.saw_each_event_once()
    assert rest.ending


def _answer_slowly(pod: ApiProcess, folder: Path) -> None:
    """Let the successor's model take its time."""
    changed = (folder / "runtime.json").read_text().replace(f"count-{COUNT}@20", f"count-{COUNT}@1")
    (folder / "runtime.json").write_text(changed)
    digest = pod.health("/health").json["config"]
    eventually(lambda: pod.health("/health").json["config"] != digest)
