"""Steps with calls that need approval: the answer ends before any is made, and a decision starts another one."""

from collections.abc import AsyncGenerator, Sequence

import pytest
from msgspec.structs import replace
from typing_extensions import override

from chatfleet_api.chat.steps import Answer
from chatfleet_api.chat.takeover import resumption
from chatfleet_api.chat.tool_progress import doubtful_calls
from chatfleet_api.chat.tool_steps import ToolSteps
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import (
    Event,
    RequiresAction,
    ServerToolCall,
    ServerToolResult,
    Thought,
    Token,
    ToolCall,
    Usage,
)
from chatfleet_api.domain.request import ChatRequest, DecidedStep, Message
from chatfleet_api.domain.tools import ServerTool, ToolUse
from chatfleet_api.providers.provider import Finish, GeneratorOpening, ItemBatch, Opening, StreamItem
from harness.pods.live import fixed
from harness.pods.runs import STOP, USAGE, text

ASKED = ChatRequest("m", (Message("user", "hi"),))
SEARCH = ServerTool("docs__search", "docs", "search", "Search.", {"type": "object"})
CREATE = ServerTool("tickets__create", "tickets", "create", "Create.", {"type": "object"}, needs_approval=True)
SEARCHED = ServerToolCall(2, "c1", "docs__search", "docs", "search", "{}")
CREATED = ServerToolCall(2, "c2", "tickets__create", "tickets", "create", "{}", approval="mcpar_o_2")


class Provider:
    """Answers each request with the next of `answers`."""

    def __init__(self, *answers: Sequence[StreamItem]) -> None:
        self.answers = [*answers]
        self.asked: list[ChatRequest] = []

    def open(self, request: ChatRequest) -> Opening:
        self.asked.append(request)

        return GeneratorOpening(self._play(self.answers.pop(0)))

    async def _play(self, pieces: Sequence[StreamItem]) -> AsyncGenerator[Sequence[StreamItem], None]:
        yield pieces


class Servers:
    """Tool servers that note each call."""

    def __init__(self, *tools: ServerTool, max_steps: int = 8) -> None:
        self.offered = tools or (SEARCH, CREATE)
        self.use: ToolUse | None = ToolUse(("tickets", "docs"), max_steps)
        self.calls: list[str] = []

    def tool_use(self, model: str) -> ToolUse | None:
        return self.use if model == "m" else None

    async def tools(self, servers: Sequence[str]) -> Sequence[ServerTool]:
        assert servers == ("tickets", "docs")
        return self.offered

    async def call(self, call: ServerToolCall) -> ServerToolResult:
        self.calls.append(call.id)
        return ServerToolResult(call.id, f"{call.tool} done")


class Noted:
    """What an answer left, and what it reserved."""

    def __init__(self, before: Sequence[Event] = (), owner: str = "o") -> None:
        self.events: list[object] = []
        self.finish: Finish | None = None
        self.reserved = 0
        self.answer = Answer(
            self._emit, self.events.extend, self._stored, self._reserve, before, (lambda: owner) if owner else None
        )

    def _emit(self, pieces: ItemBatch) -> None:
        for piece in pieces:
            if isinstance(piece, Finish):
                self.finish = piece
            else:
                self.events.append(piece)

    async def _stored(self) -> None:
        self.events.append("stored")

    async def _reserve(self) -> None:
        self.reserved += 1


async def take(
    provider: Provider,
    servers: Servers,
    request: ChatRequest = ASKED,
    *,
    before: Sequence[Event] = (),
    owner: str = "o",
) -> Noted:
    noted = Noted(before, owner)
    await ToolSteps(fixed(servers), servers)(provider, request, noted.answer)
    return noted


def calling(*tools: ServerTool) -> list[StreamItem]:
    pieces = [ToolCall(at, f"c{at + 1}", tool.name, "{}") for at, tool in enumerate(tools)]
    return [*text("Let me see."), *pieces, Finish("tool_calls", USAGE)]


async def test_a_step_with_a_call_that_needs_approval_ends_the_answer_and_nothing_is_called() -> None:
    provider, servers = Provider(calling(SEARCH, CREATE)), Servers()
    noted = await take(provider, servers)

    assert servers.calls == []
    calls = (replace(SEARCHED, step=1), replace(CREATED, step=1))
    assert noted.events == [Token("Let me see."), RequiresAction(calls)]
    assert noted.events[1].waiting == calls[1:]  # type: ignore[attr-defined]
    assert (noted.finish and noted.finish.reason, noted.finish and noted.finish.usage) == ("requires_action", USAGE)


async def test_an_answer_that_is_not_stored_gets_a_result_in_the_place_of_approval() -> None:
    provider, servers = Provider(calling(SEARCH, CREATE), [*text("Sorry."), STOP]), Servers()
    await take(provider, servers, owner="")

    assert servers.calls == ["c1"]
    _, _, found, refused = provider.asked[1].messages
    assert found.content == "search done"
    assert "need the approval of a person" in str(refused.content)


async def test_the_next_answer_makes_the_calls_that_were_approved_before_it_asks() -> None:
    refusal = ServerToolResult("c1", "no", is_error=True)
    decided = DecidedStep((SEARCHED, CREATED), (refusal,), "Let me see.")
    provider, servers = Provider([*text("Done."), STOP]), Servers()
    noted = await take(provider, servers, replace(ASKED, decided=decided))

    assert servers.calls == ["c2"]
    made = ServerToolResult("c2", "create done")
    assert noted.events == [SEARCHED, CREATED, refusal, "stored", made, Token("Done.")]
    assert [message.content for message in provider.asked[0].messages] == ["hi", "Let me see.", "no", "create done"]
    assert (provider.asked[0].decided, noted.reserved) == (None, 0)


async def test_steps_are_counted_across_a_pause() -> None:
    provider, servers = Provider([*text("Done."), STOP]), Servers(max_steps=3)
    await take(provider, servers, replace(ASKED, decided=DecidedStep((CREATED,))))
    assert provider.asked[0].tool_choice == "none"


@pytest.mark.parametrize(
    ("offered", "reason"),
    [
        ((CREATE,), "no longer among the tools"),
        ((CREATE, SEARCH._replace(needs_approval=True)), "By now, calls of it need the approval"),
        ((CREATE, SEARCH._replace(server="other")), "no longer among the tools"),
    ],
    ids=["left", "needs approval", "of another server"],
)
async def test_a_call_is_not_made_that_the_configuration_no_longer_allows(
    offered: tuple[ServerTool, ...], reason: str
) -> None:
    provider, servers = Provider([STOP]), Servers(*offered)
    await take(provider, servers, replace(ASKED, decided=DecidedStep((SEARCHED, CREATED))))
    assert servers.calls == ["c2"]
    assert reason in str(provider.asked[0].messages[2].content)


async def test_a_model_that_has_no_tools_any_more_makes_no_call() -> None:
    provider, servers = Provider([STOP]), Servers()
    servers.use = None
    with pytest.raises(ChatError) as error:
        await take(provider, servers, replace(ASKED, decided=DecidedStep((CREATED,))))
    assert (error.value.code, provider.asked, servers.calls) == (Code.INVALID_REQUEST, [], [])


@pytest.mark.parametrize("use", [ToolUse(("tickets", "docs"), 8), None], ids=["with tools", "without"])
async def test_a_successor_ends_a_pause_whose_end_is_missing(use: ToolUse | None) -> None:
    before = (Token("Let me see."), RequiresAction((SEARCHED, CREATED)))
    assert doubtful_calls(before) is None
    assert resumption(before, ASKED, "none", epoch=1) == ASKED

    class Away(Servers):
        @override
        async def tools(self, servers: Sequence[str]) -> Sequence[ServerTool]:
            raise ChatError(Code.UPSTREAM_UNAVAILABLE)

    provider, servers = Provider(), Away()
    servers.use = use
    noted = await take(provider, servers, before=before)
    assert noted.finish == Finish("requires_action", Usage(estimated=True))
    assert (noted.events, servers.calls) == ([], [])


async def test_a_successor_of_the_answer_that_goes_on_makes_no_call_again() -> None:
    asked = replace(ASKED, decided=DecidedStep((SEARCHED, CREATED)))
    thoughtful = replace(SEARCHED, thoughts=(Thought("hm"),))
    before = (thoughtful, CREATED, ServerToolResult("c1", "found"), ServerToolResult("c2", "made"))
    request = resumption(before, asked, "none", epoch=1)
    assert request is not None
    provider, servers = Provider([*text("Done."), STOP]), Servers()
    await take(provider, servers, request, before=before)

    assert servers.calls == []
    assert [message.content for message in provider.asked[0].messages] == ["hi", None, "found", "made"]
    doubtful = resumption(before[:3], asked, "none", epoch=1)
    assert doubtful is None
