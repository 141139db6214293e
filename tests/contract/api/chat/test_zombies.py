"""A pod that was taken for dead and lives: what it does changes nothing, and its readers follow the new owner."""

from contextlib import AsyncExitStack
from random import random
from time import monotonic

import pytest
from uuid_utils import uuid7

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Complete, Event, Start, Usage
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.provider import StreamItem
from chatfleet_api.redis.client import open_redis
from chatfleet_api.runs.fence import Fence
from chatfleet_api.runs.fleet.interface import Claim, Orphan, RunRecord
from chatfleet_api.runs.fleet.redis import RedisFleet
from chatfleet_api.runs.opening import open_run_log
from chatfleet_api.runs.tail import Batch
from harness.pods.runs import STOP, TENANT, FakeProvider, collect, conversations, numbered, streaming, text
from harness.pods.takeovers import REST, Fleet, ask, follow, gapless, read, words
from harness.polling import eventually_async
from harness.redis.topologies import Topologies

pytestmark = pytest.mark.lasts(70)

MINE: list[list[StreamItem] | float] = [text("mine "), 0.2] * 60
QUICK: list[list[StreamItem] | float] = [text("x"), 0.003] * 300


async def test_a_zombie_appends_nothing_and_stops_its_upstream_and_its_readers_follow_the_new_owner(
    fleet: Fleet,
) -> None:
    zombie = FakeProvider(text("one "), 0.5, *MINE, [STOP])
    first, second = await fleet(zombie, FakeProvider(*REST.steps), continuation="prefill")
    conversation, run = await ask(first)
    here = follow(first, run, 2)
    there = follow(second, run)
    await there.seen(2)
    assert zombie.open_streams == 1
    first.redis.whole = False
    events = await there.whole()
    assert words(events) == "one three four"
    first.redis.whole = True
    with pytest.raises(ChatError) as caught:  # it has seen, while Redis was away, what the log never had
        await here.whole()
    assert caught.value.code is Code.INTERRUPTED
    await eventually_async(lambda: zombie.open_streams == 0)
    assert await read(first, run) == events == await read(second, run)
    kept = (await first.chat.sessions.messages(TENANT, conversation))[-1]
    assert (kept.content, kept.status) == ("one three four", "complete")


async def test_a_reader_on_the_zombie_that_saw_nothing_else_goes_on_from_the_log(fleet: Fleet) -> None:
    zombie = FakeProvider(text("one "), 3, *MINE)
    first, second = await fleet(zombie, FakeProvider(*REST.steps), continuation="prefill")
    _, run = await ask(first)
    here = follow(first, run)
    await here.seen(2)
    first.redis.whole = False
    events = await read(second, run)
    first.redis.whole = True
    assert await here.whole() == events
    assert words(events) == "one three four"


async def test_the_final_message_of_a_zombie_is_refused(fleet: Fleet) -> None:
    zombie = FakeProvider(text("one "), 2, [STOP])
    first, second = await fleet(zombie, FakeProvider(*REST.steps))
    conversation, run = await ask(first)
    reader = follow(second, run)
    await reader.seen(2)
    first.redis.whole = False
    await reader.whole()
    await eventually_async(lambda: zombie.open_streams == 0)  # its answer is whole, and waits for Redis
    first.redis.whole = True
    await eventually_async(lambda: first.chat.pool.admission.active == 0)
    kept = (await second.chat.sessions.messages(TENANT, conversation))[-1]
    assert (kept.content, kept.status) == ("one ", "interrupted")


async def test_a_zombie_that_has_nothing_to_write_stops_its_upstream_too(fleet: Fleet) -> None:
    zombie = FakeProvider(text("one "), 60)
    first, second = await fleet(zombie, FakeProvider(*REST.steps), continuation="prefill")
    _, run = await ask(first)
    here = follow(first, run)
    await here.seen(2)
    first.redis.whole = False
    events = await read(second, run)
    assert zombie.open_streams == 1
    first.redis.whole = True
    await eventually_async(lambda: zombie.open_streams == 0)
    assert await here.whole() == events


async def test_what_a_reader_sees_is_in_the_log(fleet: Fleet) -> None:
    """Also what it sees last before the pod dies, so that the next owner begins behind it."""
    first, second = await fleet(FakeProvider(*QUICK, [STOP]), FakeProvider([STOP]), continuation="prefill")
    _, run = await ask(first)
    seen: list[tuple[int, Event]] = []

    key = second.redis_client.key(TENANT, "events", run)
    async for batch in first.chat.pool.read(TENANT, run):
        ((newest, _),) = await second.redis_client.call("XREVRANGE", key, "+", "-", "COUNT", 1)
        assert int(newest.partition(b"-")[0]) >= batch.last
        seen.extend(enumerate(batch.events, batch.first))
    assert gapless(seen)


class Recorded:
    """A takeover handler that records its calls."""

    def __init__(self, fence: Fence) -> None:
        self.fence = fence
        self.settlement = None
        self.notice = None
        self.committed = 0
        self.fenced: int | None = None

    def publish_committed(self, seq: int) -> None:
        self.committed = seq

    def fence_off(self, seq: int) -> None:
        self.fenced = seq


async def test_one_pod_wins_a_claim_and_the_log_refuses_the_one_before(
    topologies: Topologies,
) -> None:
    run = str(uuid7())
    record = RunRecord(TENANT, Start(run, "m", 0), ChatRequest("m", ()))
    async with AsyncExitStack() as stack:
        redis_client = await stack.enter_async_context(open_redis(topologies("single"), "tests", str(uuid7())))
        logs = [
            await stack.enter_async_context(open_run_log(redis_client, streaming(), conversations(), clock=monotonic))
            for _ in range(2)
        ]
        dead, successor, late = [
            RedisFleet(redis_client, name, streaming(), clock=monotonic, rand=random) for name in ("a", "b", "c")
        ]
        async with dead.begin(record):
            before, after = Recorded(Fence()), Recorded(Fence(1, 2))
        logs[0].append(TENANT, run, numbered(1, 2), before)
        await logs[0].flush(TENANT, run)
        assert (before.committed, before.fenced) == (2, None)
        orphan = Orphan("a", TENANT, run)
        claim = Claim(record, Fence(1, 2))
        assert await successor.claim([orphan]) == [claim]
        assert await successor.claim([orphan]) == [claim]  # as after a lost reply
        assert await late.claim([orphan]) == [None]
        logs[0].append(TENANT, run, numbered(3, 9), before)
        await logs[0].flush(TENANT, run)
        assert (before.committed, before.fenced) == (2, 2)
        logs[1].append(TENANT, run, Batch(3, (Complete("stop", Usage()),)), after)
        await logs[1].flush(TENANT, run)
        assert [seq for seq, _ in await collect(logs[0].read(TENANT, run))] == [1, 2, 3]
        assert await late.claim([Orphan("b", TENANT, run)]) == [None]  # it has ended
