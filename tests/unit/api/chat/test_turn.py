"""The turn: whatever happens to an answer, it ends once, truthfully, and what there is of it is kept."""

import asyncio
from collections.abc import Sequence
from functools import partial

import pytest
from msgspec.structs import replace
from typing_extensions import override

from chatfleet_api.chat.reply import Reply
from chatfleet_api.chat.steps import Answer, single_step
from chatfleet_api.chat.turn import (
    LATE_SETTLE_SECONDS,
    PLAIN,
    SETTLE_SECONDS,
    MessageSink,
    RunJob,
    Seams,
    final_message,
    run_turn,
)
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Complete, Event, Failed, Reasoning, Start, Token, ToolCall
from chatfleet_api.domain.request import ChatRequest, Function, MessageToolCall
from chatfleet_api.providers.provider import ItemBatch, Provider, StreamItem
from chatfleet_api.runs.run import Run
from chatfleet_api.sessions.memory import MemorySessionStore
from chatfleet_api.sessions.store import Append, Conversation, StoredMessage
from harness.pods.runs import (
    STOP,
    TENANT,
    USAGE,
    FakeProvider,
    collect,
    conversations,
    loop_clock,
    make_pool,
    memory_sessions,
    start,
    text,
)

NOW = "2026-01-01T00:00:00.000+00:00"
CONVERSATION = "00000000-0000-7000-8000-000000000000"
PENDING = StoredMessage("answer", "assistant", "", NOW, status="pending", run="r", model="m")
pytestmark = pytest.mark.looptime


class FlakyStore(MemorySessionStore):
    """Cannot be reached until `back`, on the loop's clock, and then takes `seconds` for an answer."""

    def __init__(self, back: float = 0, seconds: float = 0) -> None:
        super().__init__(conversations(ttl_seconds=3600), clock=loop_clock)
        self.back = back
        self.seconds = seconds

    @override
    async def append(self, tenant: str, conversation: str, append: Append) -> int:
        await asyncio.sleep(self.seconds)
        if loop_clock() < self.back:
            raise ChatError(Code.STORAGE_UNAVAILABLE)
        return await super().append(tenant, conversation, append)


async def begin(script: FakeProvider, store: MemorySessionStore | None = None, seams: Seams = PLAIN) -> Run:
    """Start a run; with a store it belongs to a conversation there."""
    sink = None
    if store:
        await store.create(TENANT, Conversation(CONVERSATION, None, None, {}, NOW, NOW))
        sink = MessageSink(store, TENANT, CONVERSATION, PENDING, lambda: NOW)
    job = RunJob(start(), ChatRequest("m", ()), script, sink, loop_clock, seams=seams)
    with make_pool(run_seconds=300).admit() as start_run:
        return start_run(TENANT, "r", lambda run: run_turn(job, run))


async def events(run: Run) -> list[Event]:
    return [event for _, event in await collect(run.read())]


async def failure(run: Run) -> Failed:
    ending = (await events(run))[-1]
    assert isinstance(ending, Failed)
    return ending


async def kept(store: MemorySessionStore) -> StoredMessage:
    return (await store.messages(TENANT, CONVERSATION))[-1]


@pytest.mark.feature(22)
async def test_an_answer_is_passed_on_as_it_comes_and_ends_complete() -> None:
    script = FakeProvider(1, text("Hel", "lo"), 2, [*text("!"), STOP])
    assert await events(await begin(script)) == [
        start(),
        Token("Hel"),
        Token("lo"),
        Token("!"),
        Complete("stop", USAGE, latency_ms=3000, time_to_first_token_ms=1000),
    ]
    assert script.open_streams == 0


async def test_a_whole_answer_is_kept_with_all_that_is_known_of_it() -> None:
    store = FlakyStore()
    pieces: Sequence[StreamItem] = [
        Reasoning("hm"),
        *text("a", "b"),
        ToolCall(1, "call2", "g"),
        ToolCall(0, "call1", "f", '{"x"'),
        ToolCall(0, arguments=":1}"),
        STOP,
    ]
    await events(await begin(FakeProvider(2, pieces), store))
    assert await kept(store) == replace(
        PENDING,
        content="ab",
        status="complete",
        finish_reason="stop",
        reasoning="hm",
        tool_calls=[MessageToolCall("call1", Function("f", '{"x":1}')), MessageToolCall("call2", Function("g", ""))],
        usage=USAGE,
        latency_ms=2000,
    )


async def test_the_answer_is_in_the_store_when_the_reader_sees_the_end() -> None:
    store = FlakyStore(seconds=1)
    run = await begin(FakeProvider([*text("a"), STOP]), store)
    async for batch in run.read():
        if batch.terminal:
            assert (await kept(store)).status == "complete"


@pytest.mark.feature(24)
async def test_an_end_without_a_finish_is_a_failure() -> None:
    store = FlakyStore()
    ending = await failure(await begin(FakeProvider(text("half")), store))
    assert (ending.code, ending.partial_saved) == (Code.UPSTREAM_TRUNCATED, True)
    answer = await kept(store)
    assert (answer.status, answer.content, answer.error_code) == ("failed", "half", Code.UPSTREAM_TRUNCATED)


async def test_an_upstreams_error_is_told_and_what_had_come_is_kept() -> None:
    store = FlakyStore()
    ending = await failure(
        await begin(FakeProvider(text("half"), ChatError(Code.UPSTREAM_RATE_LIMITED, retry_after=7)), store)
    )
    assert (ending.code, ending.retry_after, ending.partial_saved) == (Code.UPSTREAM_RATE_LIMITED, 7, True)
    assert (await kept(store)).content == "half"


async def test_nothing_came_so_nothing_was_saved() -> None:
    store = FlakyStore()
    ending = await failure(await begin(FakeProvider(ChatError(Code.UPSTREAM_TIMEOUT)), store))
    assert not ending.partial_saved
    assert (await kept(store)).status == "failed"


async def test_a_bug_in_a_provider_ends_the_run_and_tells_readers_nothing_of_its_inside(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = FlakyStore()
    ending = await failure(await begin(FakeProvider(text("half"), KeyError("secret")), store))
    assert (ending.code, ending.partial_saved) == (Code.INTERNAL, True)
    assert "secret" not in ending.message
    assert "secret" in caplog.text


@pytest.mark.feature(20, 21)
@pytest.mark.parametrize(
    ("code", "status"),
    [(Code.CANCELLED, "cancelled"), (Code.INTERRUPTED, "interrupted")],
)
async def test_a_stop_closes_the_upstream_and_marks_what_had_come(code: Code, status: str) -> None:
    store, script = FlakyStore(), FakeProvider(text("half"), 100, [*text("never"), STOP])
    run = await begin(script, store)
    asyncio.get_running_loop().call_later(5, run.stop, code)
    ending = await failure(run)
    assert loop_clock() == 5
    assert (ending.code, ending.partial_saved, script.open_streams) == (code, True, 0)
    answer = await kept(store)
    assert (answer.status, answer.content) == (status, "half")


async def test_a_stop_before_the_upstream_answered_closes_it_too() -> None:
    script = FakeProvider(100, [*text("never"), STOP])
    run = await begin(script)
    asyncio.get_running_loop().call_later(5, run.cancel)
    assert (await failure(run)).code is Code.CANCELLED
    assert (script.open_streams, loop_clock()) == (0, 5)


async def test_a_stop_while_the_whole_answer_is_being_kept_changes_nothing() -> None:
    store = FlakyStore(seconds=1)
    run = await begin(FakeProvider([*text("all"), STOP]), store)
    asyncio.get_running_loop().call_later(0.5, run.cancel)
    assert isinstance((await events(run))[-1], Complete)
    assert (await kept(store)).status == "complete"


async def test_an_answer_that_lasts_too_long_is_interrupted() -> None:
    script = FakeProvider(text("half"), 1000, [STOP])
    assert (await failure(await begin(script))).code is Code.INTERRUPTED
    assert (loop_clock(), script.open_streams) == (300, 0)


async def test_a_short_outage_of_the_store_delays_the_end_and_loses_nothing() -> None:
    store = FlakyStore(back=1)
    ending = await failure(await begin(FakeProvider(text("half")), store))
    assert ending.partial_saved
    assert loop_clock() <= SETTLE_SECONDS


async def test_a_longer_outage_does_not_hold_the_end_and_the_answer_is_kept_afterwards() -> None:
    store = FlakyStore(back=30)
    ending = await failure(await begin(FakeProvider(text("half")), store))
    assert loop_clock() == SETTLE_SECONDS
    assert not ending.partial_saved
    await asyncio.sleep(LATE_SETTLE_SECONDS)
    assert (await kept(store)).content == "half"


async def test_a_store_that_hangs_does_not_hold_the_end() -> None:
    await failure(await begin(FakeProvider(text("half")), FlakyStore(seconds=1000)))
    assert loop_clock() == SETTLE_SECONDS


async def test_an_answer_that_could_not_be_kept_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    await failure(await begin(FakeProvider(text("half")), FlakyStore(back=1000)))
    await asyncio.sleep(LATE_SETTLE_SECONDS + 1)
    assert "could not be stored" in caplog.text


async def test_an_answer_that_the_end_of_the_pod_keeps_from_being_stored_is_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    await failure(await begin(FakeProvider(text("half")), FlakyStore(back=1000)))
    producer = next(task for task in asyncio.all_tasks() if task is not asyncio.current_task())
    producer.cancel()
    await asyncio.wait([producer])
    assert "could not be stored" in caplog.text


async def test_an_answer_to_a_deleted_conversation_ends_without_being_kept(caplog: pytest.LogCaptureFixture) -> None:
    store = FlakyStore()
    run = await begin(FakeProvider(text("half"), 5), store)
    await asyncio.sleep(1)
    await store.delete(TENANT, CONVERSATION)
    assert not (await failure(run)).partial_saved
    assert loop_clock() == 5
    await asyncio.sleep(LATE_SETTLE_SECONDS + 1)
    assert not caplog.records


async def test_an_answer_of_no_conversation_is_kept_nowhere_and_says_so() -> None:
    assert not (await failure(await begin(FakeProvider(text("half"))))).partial_saved


async def test_the_end_and_the_message_say_who_answered() -> None:
    """Which may be a fallback, and not the model that was asked for."""
    signed = replace(STOP, provider="spare", upstream_model="claude-x")
    job = RunJob(start(), ChatRequest("m", ()), FakeProvider(text("hi"), [signed]), None, loop_clock)
    with make_pool().admit() as start_run:
        run = start_run(TENANT, "r", partial(run_turn, job))
    ending = (await collect(run.read()))[-1][1]
    assert isinstance(ending, Complete)
    assert (ending.provider, ending.upstream_model) == ("spare", "claude-x")
    kept = final_message(PENDING, Reply(loop_clock), ending)
    assert (kept.model, kept.provider, kept.upstream_model) == ("m", "spare", "claude-x")


class Redaction:
    """A guard against one word."""

    async def request(self, request: ChatRequest) -> ChatRequest:
        return replace(request, model="guarded")

    def batch(self, pieces: ItemBatch) -> ItemBatch:
        return [Token("***") if isinstance(piece, Token) and piece.text == "secret" else piece for piece in pieces]


async def two_steps(provider: Provider, request: ChatRequest, answer: Answer) -> None:
    await single_step(provider, request, answer.emit)
    await single_step(provider, request, answer.emit)


async def test_a_guard_changes_the_request_and_what_readers_get_and_the_store_has() -> None:
    script, store = FakeProvider(text("my", "secret"), [STOP]), memory_sessions()
    seen = await events(await begin(script, store, Seams(guard=Redaction())))
    assert [request.model for request in script.asked] == ["guarded"]
    assert [event.text for event in seen if isinstance(event, Token)] == ["my", "***"]
    assert (await kept(store)).content == "my***"


async def test_a_run_may_take_several_steps_and_ends_once() -> None:
    script = FakeProvider(text("hi"), [STOP])
    seen = await events(await begin(script, seams=Seams(steps=two_steps)))
    assert [type(event) for event in seen] == [Start, Token, Token, Complete]
    assert len(script.asked) == 2
