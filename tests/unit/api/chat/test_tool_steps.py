"""Steps: calls are in the log before they are made, readers get text alone, and a successor repeats no step."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from unittest.mock import create_autospec

import pytest
from msgspec.structs import replace
from typing_extensions import override

from chatfleet_api.chat.steps import Answer
from chatfleet_api.chat.takeover import resumption
from chatfleet_api.chat.tool_steps import ToolSteps
from chatfleet_api.chat.turn import RunJob, Seams, run_turn
from chatfleet_api.domain.dispatch import Dispatcher, EventKind
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import (
    Complete,
    Event,
    Failed,
    Reasoning,
    ServerToolCall,
    ServerToolResult,
    Signature,
    Thought,
    Token,
    ToolCall,
)
from chatfleet_api.domain.quota import Held
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.domain.tools import ServerTool, ToolUse
from chatfleet_api.limits.limiter import Limiter
from chatfleet_api.providers.provider import Finish
from harness.pods.live import fixed
from harness.pods.runs import (
    STOP,
    TENANT,
    USAGE,
    InTurn,
    called,
    collect,
    loop_clock,
    loop_now,
    make_pool,
    start,
    text,
)

pytestmark = pytest.mark.looptime
CALLS = Finish("tool_calls", USAGE)
SIGNED = Signature("m", "seal")
SEARCH = ServerTool("tickets__search", "tickets", "search", "Search.", {"type": "object"}, repeatable=True)
CREATE = ServerTool("tickets__create", "tickets", "create", "Create.", {"type": "object"})
ASKED = ChatRequest("m", (Message("user", "hi"),))
OF_RUN = {"run": start().run, "conversation": start().conversation, "model": start().model}
OWN = {"type": "function", "function": {"name": "own"}}


class Servers:
    """Tool servers that note each call; a tool takes a second."""

    def __init__(self, *, max_steps: int = 8) -> None:
        self.use = ToolUse(("tickets",), max_steps)
        self.calls: list[ServerToolCall] = []

    def tool_use(self, model: str) -> ToolUse | None:
        return self.use if model == "m" else None

    async def tools(self, servers: Sequence[str]) -> Sequence[ServerTool]:
        assert servers == ("tickets",)
        return (SEARCH, CREATE)

    async def call(self, call: ServerToolCall) -> ServerToolResult:
        self.calls.append(call)
        await asyncio.sleep(1)
        return ServerToolResult(call.id, f"{call.tool} {call.arguments}")


async def answered(
    provider: InTurn,
    servers: Servers,
    request: ChatRequest = ASKED,
    before: Sequence[Event] = (),
    *,
    limits: Limiter | None = None,
    dispatcher: Dispatcher | None = None,
) -> list[Event]:
    """Return the events of a run."""
    seams = Seams(steps=ToolSteps(fixed(servers), servers), limits=limits, dispatcher=dispatcher)
    job = RunJob(start(), request, provider, None, loop_clock, before, seams=seams, held=Held("lease", ()))
    with make_pool(run_seconds=300).admit() as start_run:
        run = start_run(TENANT, "r", lambda run: run_turn(job, run))
        return [event for _, event in await collect(run.read())]


async def test_the_model_gets_the_results_of_its_calls_and_the_reader_the_text() -> None:
    first = [*text("Let me look."), *called("tickets__search", "c1", '{"q":1}'), CALLS]
    provider, servers = InTurn(first, [*text("Found."), STOP]), Servers()
    events = await answered(provider, servers)

    call = ServerToolCall(1, "c1", "tickets__search", "tickets", "search", '{"q":1}', repeatable=True)
    assert events[1:-1] == [
        *(Token("Let me look."), call, ServerToolResult("c1", 'search {"q":1}'), Token("Found.")),
    ]
    assert [tool["function"]["name"] for tool in provider.asked[0].tools] == ["tickets__search", "tickets__create"]
    _, said, result = provider.asked[1].messages
    assert (said.content, said.tool_calls and said.tool_calls[0].id) == ("Let me look.", "c1")
    assert result == Message("tool", 'search {"q":1}', tool_call_id="c1")
    end = events[-1]
    assert isinstance(end, Complete)
    assert (end.finish_reason, end.usage) == ("stop", USAGE + USAGE)


async def test_each_call_is_stored_before_it_is_made_and_calls_of_a_step_are_parallel() -> None:
    both = [*called("tickets__search", "c1"), *called("tickets__create", "c2", index=1), CALLS]
    order: list[object] = []

    class Noting(Servers):
        @override
        async def call(self, call: ServerToolCall) -> ServerToolResult:
            order.append(f"call {call.id}")
            return await super().call(call)

    async def stored() -> None:
        order.append("stored")

    async def reserve() -> None:
        order.append("reserved")

    servers = Noting()
    answer = Answer(lambda _: None, order.extend, stored, reserve)
    began = loop_clock()
    await ToolSteps(fixed(servers), servers)(InTurn(both, [STOP]), ASKED, answer)

    ids = [each.id if isinstance(each, ServerToolCall | ServerToolResult) else each for each in order]
    assert ids == ["c1", "c2", "stored", "call c1", "call c2", "c1", "c2", "reserved"]
    assert loop_clock() - began == 1


async def test_a_call_of_the_clients_ends_the_answer_and_the_pods_calls_wait_for_its_result() -> None:
    both = [*called("tickets__search", "c1"), *called("own", "c2", index=1), CALLS]
    provider, servers = InTurn(both), Servers()
    events = await answered(provider, servers, replace(ASKED, tools=(OWN,)))

    assert servers.calls == []
    assert events[1:3] == [ToolCall(0, "c2", "own"), ToolCall(0, arguments="{}")]
    assert isinstance(events[-1], Complete)
    assert events[-1].finish_reason == "tool_calls"


async def test_calls_are_made_known_without_what_they_are_called_with() -> None:
    dropped = Counter[str]()
    dispatcher = Dispatcher("pod", now=loop_now, dropped=lambda name: dropped.update([name]))
    ours, own = [*called("tickets__search", "c1", '{"canary": 1}'), CALLS], [*called("own", "c2", "canary"), CALLS]
    with dispatcher.listening("tap", EventKind) as listener:
        await answered(InTurn(ours, own), Servers(), replace(ASKED, tools=(OWN,)), dispatcher=dispatcher)
        notices = [each for each in listener.waiting(100) if each.event is EventKind.TOOL_CALL]
    assert [(each.tenant, each.facts) for each in notices] == [
        (TENANT, {**OF_RUN, "tool": "search", "server": "tickets", "step": 1}),
        (TENANT, {**OF_RUN, "tool": "own", "server": None}),
    ]


async def test_the_last_step_may_call_nothing_and_ends_truthfully_if_it_does() -> None:
    call = [*called("tickets__search", "c1"), CALLS]
    provider, servers = InTurn(call, call), Servers(max_steps=2)
    events = await answered(provider, servers)

    assert [request.tool_choice for request in provider.asked] == [None, "none"]
    assert len(servers.calls) == 1
    assert isinstance(events[-1], Complete)
    assert events[-1].finish_reason == "length"


async def test_a_limit_that_refuses_a_further_step_ends_the_answer() -> None:
    limits = create_autospec(Limiter, instance=True)
    limits.extend.side_effect = ChatError(Code.BUDGET_EXHAUSTED)
    provider, servers = InTurn([*called("tickets__search", "c1"), CALLS]), Servers()
    end = (await answered(provider, servers, limits=limits))[-1]

    assert isinstance(end, Failed)
    assert end.code is Code.BUDGET_EXHAUSTED
    assert (len(provider.asked), len(servers.calls)) == (1, 1)
    limits.settle.assert_awaited_once()


async def test_what_had_to_be_called_was_called_once() -> None:
    provider, servers = InTurn([*called("tickets__search", "c1"), CALLS], [STOP]), Servers()
    await answered(provider, servers, replace(ASKED, tool_choice="required"))
    assert [request.tool_choice for request in provider.asked] == ["required", None]


async def test_signed_reasoning_goes_back_to_its_model_and_not_to_the_reader() -> None:
    thought = [Reasoning("hm"), Reasoning("", signature=SIGNED)]
    provider, servers = InTurn([*thought, *called("tickets__search", "c1"), CALLS], [STOP]), Servers()
    events = await answered(provider, servers)

    assert provider.asked[1].messages[1].thoughts == [Thought("hm", SIGNED)]
    assert [event for event in events if isinstance(event, Reasoning)] == [Reasoning("hm")]


async def test_a_model_without_tool_servers_is_asked_once_as_it_is() -> None:
    provider, servers = InTurn([*called("tickets__search", "c1"), CALLS]), Servers()
    request = ChatRequest("other", ())
    events = await answered(provider, servers, request)

    assert provider.asked == [request]
    assert [type(event) for event in events[1:-1]] == [ToolCall, ToolCall]


def logged(*events: Event) -> tuple[Event, ...]:
    return (start(), *events)


SEARCHED = ServerToolCall(1, "c1", "tickets__search", "tickets", "search", "{}", repeatable=True)
CREATED = ServerToolCall(1, "c2", "tickets__create", "tickets", "create", "{}")


async def test_a_successor_goes_on_after_the_last_finished_step() -> None:
    before = logged(Token("One. "), SEARCHED, ServerToolResult("c1", "found"))
    request = resumption(before, ASKED, "none", epoch=1)
    assert request is not None
    provider, servers = InTurn([*text("Two."), STOP]), Servers()
    events = await answered(provider, servers, request, before)

    assert servers.calls == []
    said, result = provider.asked[0].messages[1:]
    assert (said.content, result.content) == ("One. ", "found")
    assert [type(event) for event in events] == [Token, Complete]


async def test_a_successor_makes_a_call_again_that_its_tool_declares_repeatable() -> None:
    finished = ServerToolCall(1, "c0", "tickets__create", "tickets", "create", "{}")
    pending = replace(SEARCHED, step=2)
    before = logged(finished, ServerToolResult("c0", "made"), Token("Now "), pending)
    request = resumption(before, ASKED, "none", epoch=1)
    assert request is not None
    provider, servers = InTurn([STOP]), Servers()
    events = await answered(provider, servers, request, before)

    assert servers.calls == [pending]
    assert [message.content for message in provider.asked[0].messages] == ["hi", None, "made", "Now ", "search {}"]
    assert [type(event) for event in events] == [ServerToolResult, Complete]


async def test_a_call_that_may_have_been_made_ends_the_run_by_its_name() -> None:
    before = logged(replace(SEARCHED, step=1), CREATED, ServerToolResult("c1", "found"))
    assert resumption(before, ASKED, "prefill", epoch=1) is None
    provider, servers = InTurn([STOP]), Servers()
    (end,) = await answered(provider, servers, ASKED, before)

    assert isinstance(end, Failed)
    assert end.code is Code.INTERRUPTED
    assert "create of tool server tickets, which may have been made" in end.message
    assert (servers.calls, provider.asked) == ([], [])


def test_text_after_a_finished_step_is_continued_where_the_model_can() -> None:
    before = logged(SEARCHED, ServerToolResult("c1", "found"), Token("It "), Token("is"))
    assert resumption(before, ASKED, "none", epoch=1) is None
    request = resumption(before, ASKED, "prefill", epoch=1)
    assert request is not None
    assert request.continues
    assert [message.content for message in request.messages] == ["hi", None, "found", "It is"]


async def test_a_continued_text_is_one_message_with_the_calls_that_follow_it() -> None:
    request = replace(ASKED, messages=(*ASKED.messages, Message("assistant", "Let me ")), continues=True)
    provider, servers = InTurn([*text("look."), *called("tickets__search", "c1"), CALLS], [STOP]), Servers()
    await answered(provider, servers, request)

    assert [message.content for message in provider.asked[1].messages] == ["hi", "Let me look.", "search {}"]
    assert not provider.asked[1].continues
