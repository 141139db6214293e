"""Hand-overs: the next agent goes on with the whole context, within bounds, and no client sees the call."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from unittest.mock import create_autospec

import msgspec
import pytest
from msgspec.structs import replace
from typing_extensions import override

from chatfleet_api.agents.catalogue import AgentCatalogue
from chatfleet_api.chat.agent_steps import AgentSteps
from chatfleet_api.chat.handoffs import PREFIX, function_name, reason_of
from chatfleet_api.chat.steps import Answer
from chatfleet_api.chat.takeover import as_announced, resumption
from chatfleet_api.chat.tool_progress import progress_of
from chatfleet_api.chat.tool_steps import ToolServers, ToolSteps, ToolUsers
from chatfleet_api.chat.turn import RunJob, Seams, run_turn
from chatfleet_api.domain.errors import ChatError
from chatfleet_api.domain.events import (
    Agent,
    Complete,
    Event,
    Reasoning,
    ServerToolCall,
    ServerToolResult,
    Signature,
    Thought,
    Token,
    ToolCall,
)
from chatfleet_api.domain.quota import Held
from chatfleet_api.domain.request import (
    ChatRequest,
    DecidedStep,
    Function,
    Message,
    MessageToolCall,
    Sent,
    Untranslated,
)
from chatfleet_api.domain.tools import MAX_NAME, ServerTool, ToolUse
from chatfleet_api.pod.configuration import local
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.pod.served_models import served_models
from chatfleet_api.providers.provider import Finish, ItemBatch, Opening, Provider, StreamItem
from chatfleet_api.usage.price_book import PriceBook
from chatfleet_contract.runtime import RuntimeAgents, RuntimeMember, RuntimeProvider, RuntimeSupervisor
from chatfleet_contract.spec.pricing import Pricing
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model
from harness.pods.live import fixed
from harness.pods.runs import (
    EPOCH,
    STOP,
    TENANT,
    USAGE,
    InTurn,
    called,
    collect,
    loop_clock,
    make_pool,
    start,
    text,
    without_servers,
)
from harness.upstream.catalogue import registry_of

pytestmark = pytest.mark.looptime

CALLS = Finish("tool_calls", USAGE)
ASKED = ChatRequest("agent:billing", (Message("user", "hi"),), temperature=0.5)
TO_TECHNICAL, TO_BILLING = "transfer_to_technical", "transfer_to_billing"
PRICES = {"clerk": "1", "engineer": "5", "seller": "9"}
OWN = {"type": "function", "function": {"name": "own"}}


def moves(to: str, reason: str = "A crash.", index: int = 0) -> list[StreamItem]:
    """Return the call that hands over to an agent."""
    return called(PREFIX + to, f"c{index}", f'{{"reason": "{reason}"}}', index)


def member(name: str, model: str, *handoffs: str) -> RuntimeMember:
    return RuntimeMember(
        name=name, description=f"what {name} has", model=model, instructions=f"You are {name}.", handoffs=handoffs
    )


BILLING, TECHNICAL = member("billing", "clerk", "technical", "missing"), member("technical", "engineer")
BACK = member("technical", "engineer", "billing")


def catalogue(clerk: Provider, engineer: Provider, *members: RuntimeMember, **bounds: int) -> AgentCatalogue:
    agents = RuntimeAgents(supervisor=RuntimeSupervisor(model="clerk", **bounds), members=members)  # type: ignore[arg-type]
    entries = {name: Model(name=name, provider="p", model=name) for name in ("clerk", "engineer")}
    return AgentCatalogue({"clerk": clerk, "engineer": engineer}, {}, entries, {}, agents=agents)


async def answered(
    models: AgentCatalogue,
    request: ChatRequest = ASKED,
    before: Sequence[Event] = (),
    steps: ToolSteps | None = None,
) -> list[Event]:
    """Return the events of a run."""
    seams = Seams(steps=AgentSteps(steps or without_servers(models)))
    provider = models.provider(request.model)
    job = RunJob(start(), request, provider, None, loop_clock, before, seams=seams, held=Held("lease", ()))
    with make_pool(run_seconds=300).admit() as start_run:
        run = start_run(TENANT, "r", lambda run: run_turn(job, run))
        return [event for _, event in await collect(run.read())]


def names(request: ChatRequest) -> list[str]:
    return [tool["function"]["name"] for tool in request.tools]


def shape(request: ChatRequest) -> list[tuple[str, Any]]:
    return [(message.role, message.content) for message in request.messages]


async def test_the_next_agent_goes_on_as_itself_with_all_that_was_said() -> None:
    clerk, engineer = InTurn([*text("One moment. "), *moves("technical"), CALLS]), InTurn([*text("Fixed."), STOP])
    events = await answered(catalogue(clerk, engineer, BILLING, TECHNICAL))

    assert events[1:-1] == [
        Agent("billing", "The request names this agent."),
        *text("One moment. "),
        Agent("technical", "A crash."),
        *text("Fixed."),
    ]
    (first,), (second,) = clerk.asked, engineer.asked
    assert names(first) == [TO_TECHNICAL]
    assert "what technical has" in first.tools[0]["function"]["description"]
    assert (second.model, second.tools, second.temperature) == ("engineer", (), 0.5)
    assert shape(second) == [
        ("system", "You are technical."),
        ("user", "hi"),
        ("assistant", "One moment. "),
        ("tool", '{"assistant": "technical"}'),
    ]
    made = MessageToolCall(second.messages[3].tool_call_id or "", Function(TO_TECHNICAL, '{"reason": "A crash."}'))
    assert second.messages[2].tool_calls == [made]
    end = events[-1]
    assert isinstance(end, Complete)
    assert (end.finish_reason, end.usage) == ("stop", USAGE + USAGE)


async def test_a_successor_sends_the_same_request_to_the_agent_that_was_announced_last() -> None:
    script = [*text("One moment. "), *moves("technical"), CALLS]
    alive = InTurn([*text("Fixed."), STOP])
    events = await answered(catalogue(InTurn(script), alive, BILLING, TECHNICAL))
    before = events[:4]
    assert before[-1] == Agent("technical", "A crash.")

    request = resumption(before, as_announced(ASKED, before), "none", epoch=1)
    assert request is not None
    clerk, engineer = InTurn(), InTurn([*text("Fixed."), STOP])
    rest = await answered(catalogue(clerk, engineer, BILLING, TECHNICAL), request, before)

    assert [*map(type, rest)] == [Token, Complete]
    assert [each.messages for each in engineer.asked] == [each.messages for each in alive.asked]
    assert [each.tools for each in engineer.asked] == [()]


async def test_text_of_the_next_agent_is_continued_where_its_model_can() -> None:
    before: list[Event] = [start(), Agent("billing", "a"), Token("One. "), Agent("technical", "b"), Token("Fi")]
    assert resumption(before, as_announced(ASKED, before), "none", epoch=1) is None
    request = resumption(before, as_announced(ASKED, before), "prefill", epoch=1)
    assert request is not None
    clerk, engineer = InTurn([*text("Both."), STOP]), InTurn([*text("rst. "), *moves("billing"), CALLS])
    events = await answered(catalogue(clerk, engineer, BILLING, BACK), request, before)

    assert [*map(type, events)] == [Token, Agent, Token, Complete]
    assert engineer.asked[0].continues
    assert shape(clerk.asked[0])[-2:] == [("assistant", "First. "), ("tool", '{"assistant": "billing"}')]
    assert not clerk.asked[0].continues


async def test_agents_that_hand_over_in_a_circle_end_with_an_answer() -> None:
    """Of four steps, the choice is the first; in the last the model may call nothing."""
    clerk = InTurn([*moves("technical"), CALLS], [*text("Here."), STOP])
    engineer = InTurn([*moves("billing"), CALLS])
    events = await answered(catalogue(clerk, engineer, BILLING, BACK, max_steps=4, max_handoffs=9))

    assert [event.name for event in events if isinstance(event, Agent)] == ["billing", "technical", "billing"]
    assert [request.tool_choice for request in (*clerk.asked, *engineer.asked)] == [None, "none", None]
    assert isinstance(events[-1], Complete)
    assert (events[-1].finish_reason, events[-1].usage) == ("stop", USAGE + USAGE + USAGE)


async def test_a_model_that_calls_in_the_last_step_ends_truthfully() -> None:
    events = await answered(catalogue(InTurn([*moves("technical"), CALLS]), InTurn(), BILLING, TECHNICAL, max_steps=2))
    assert [*map(type, events[1:])] == [Agent, Complete]
    assert isinstance(events[-1], Complete)
    assert events[-1].finish_reason == "length"


async def test_after_the_last_hand_over_none_is_offered_and_a_call_of_one_is_explained() -> None:
    clerk = InTurn([*moves("technical"), CALLS])
    engineer = InTurn([*text("Well. "), *moves("billing"), CALLS], [*text("Fixed."), STOP])
    events = await answered(catalogue(clerk, engineer, BILLING, BACK, max_handoffs=1))

    assert [names(request) for request in engineer.asked] == [[], []]
    assert shape(engineer.asked[1])[-2:] == [
        ("assistant", "Well. "),
        ("tool", "No hand-over is possible here. Answer yourself."),
    ]
    assert not [event for event in events if isinstance(event, ToolCall)]
    assert isinstance(events[-1], Complete)
    assert events[-1].finish_reason == "stop"


async def test_calls_of_tools_are_made_before_a_hand_over_of_the_same_step() -> None:
    step = [*text("Look. "), *moves("technical"), *called("t__search", "c2", index=1), CALLS]
    clerk, engineer = InTurn(step), InTurn([STOP])
    models = catalogue(clerk, engineer, BILLING, TECHNICAL)
    servers = create_autospec(ToolServers, instance=True)
    servers.tools.return_value = [ServerTool("t__search", "t", "search", "", {}, repeatable=True)]
    servers.call.return_value = ServerToolResult("c2", "found")
    users = create_autospec(ToolUsers, instance=True)
    users.tool_use.side_effect = lambda model: ToolUse(("t",), 8) if model == "clerk" else None
    events = await answered(models, steps=ToolSteps(fixed(users), servers))

    kinds = [Agent, Token, ServerToolCall, ServerToolResult, Agent, Complete]
    assert [*map(type, events[1:])] == kinds
    assert shape(engineer.asked[0])[2:] == [
        *(("assistant", "Look. "), ("tool", "found"), ("assistant", None), ("tool", '{"assistant": "technical"}')),
    ]
    assert progress_of(events).messages == engineer.asked[0].messages[2:]


async def test_of_several_hand_overs_the_first_counts() -> None:
    both: ItemBatch = [*moves("technical"), *moves("billing", index=1), CALLS]
    events = await answered(catalogue(InTurn(both), InTurn([STOP]), BILLING, TECHNICAL))
    assert [event.name for event in events if isinstance(event, Agent)] == ["billing", "technical"]


async def test_a_call_of_the_clients_goes_before_a_hand_over() -> None:
    both = [*moves("technical"), *called("own", "c2", index=1), CALLS]
    clerk = InTurn(both)
    events = await answered(catalogue(clerk, InTurn(), BILLING, TECHNICAL), replace(ASKED, tools=(OWN,)))

    assert names(clerk.asked[0]) == ["own", TO_TECHNICAL]
    assert events[2:4] == [ToolCall(0, "c2", "own"), ToolCall(0, arguments="{}")]
    assert isinstance(events[-1], Complete)
    assert events[-1].finish_reason == "tool_calls"


async def test_a_function_of_the_client_with_the_name_of_ours_is_the_clients() -> None:
    theirs = {"type": "function", "function": {"name": TO_TECHNICAL}}
    clerk = InTurn([*moves("technical"), CALLS])
    events = await answered(catalogue(clerk, InTurn(), BILLING, TECHNICAL), replace(ASKED, tools=(theirs,)))

    assert clerk.asked[0].tools == (theirs,)
    assert events[2] == ToolCall(0, "c0", TO_TECHNICAL)


async def test_what_had_to_be_called_was_called_by_the_hand_over() -> None:
    clerk, engineer = InTurn([*moves("technical"), CALLS]), InTurn([STOP])
    await answered(catalogue(clerk, engineer, BILLING, TECHNICAL), replace(ASKED, tool_choice="required"))
    assert [clerk.asked[0].tool_choice, engineer.asked[0].tool_choice] == ["required", None]


async def test_signed_reasoning_goes_on_with_the_hand_over() -> None:
    signed = Signature("m", "seal")
    thought: ItemBatch = [Reasoning("hm"), Reasoning("", signature=signed), *moves("technical"), CALLS]
    engineer = InTurn([STOP])
    events = await answered(catalogue(InTurn(thought), engineer, BILLING, TECHNICAL))
    assert engineer.asked[0].messages[2].thoughts == [Thought("hm", signed)]
    assert events[3] == Agent("technical", "A crash.", (Thought("hm", signed),))


def test_a_log_has_how_often_was_handed_over_and_since_when_an_agent_answers() -> None:
    call = ServerToolCall(1, "c1", "t__a", "t", "a", "{}")
    before = (Agent("billing", ""), Token("One."), call, ServerToolResult("c1", "found"), Agent("technical", "b"))
    found = progress_of([*before, replace(call, step=3, id="c3"), ServerToolResult("c3", "more"), Token("Two")])
    assert (found.agent, found.handoffs, found.agent_since, found.steps) == ("technical", 1, 2, 3)
    assert [message.content for message in found.messages] == [
        *("One.", "found", None, '{"assistant": "technical"}', None, "more")
    ]
    assert found.rest == [Token("Two")]


@pytest.mark.parametrize("arguments", ["", "[]", '{"reason": 1}', '{"reason": " "}', "{"])
def test_a_hand_over_without_a_reason_names_the_agent_before(arguments: str) -> None:
    assert reason_of(arguments, "billing") == "billing has handed the conversation over."


def test_names_of_functions_are_as_long_as_vendors_take_them_and_differ() -> None:
    long = [f"{'a' * 62}{end}" for end in "bc"]
    made = [function_name(name) for name in (*long, "technical")]
    assert [len(name) for name in made] == [MAX_NAME, MAX_NAME, len(TO_TECHNICAL)]
    assert len({*made}) == 3


async def test_a_hand_over_is_stored_and_its_request_reserved_before_the_next_agent_is_asked() -> None:
    order: list[str] = []

    class Noting(InTurn):
        @override
        def open(self, request: ChatRequest) -> Opening:
            order.append(f"ask {request.model}")
            return super().open(request)

    async def stored() -> None:
        order.append("stored")

    async def reserve() -> None:
        order.append("reserved")

    def publish(events: Sequence[Event]) -> None:
        order.extend(event.name for event in events if isinstance(event, Agent))

    models = catalogue(Noting([*moves("technical"), CALLS]), Noting([STOP]), BILLING, TECHNICAL)
    answer = Answer(lambda _: None, publish, stored, reserve)
    await AgentSteps(without_servers(models))(models.provider(ASKED.model), ASKED, answer)
    assert order == ["billing", "ask clerk", "technical", "stored", "reserved", "ask engineer"]


@pytest.mark.parametrize("handoffs", [(), ("technical",)])
def test_what_other_dialects_lack_is_refused_before_an_agent_that_hands_over(handoffs: tuple[str, ...]) -> None:
    """Its requests have functions of ours, as those of models with tools have."""
    upstream = RuntimeProvider(name="up", type=ProviderType.OPENAI_COMPATIBLE, base_url="https://up.example/v1")
    config = local().model_copy(
        update={
            "providers": (upstream,),
            "models": (Model(name="clerk", provider="up", model="m"),),
            "agents": RuntimeAgents(
                supervisor=RuntimeSupervisor(model="clerk"),
                members=(member("billing", "clerk", *handoffs), member("technical", "clerk")),
            ),
        }
    )
    models = served_models(registry_of(Meter("1")), config)
    sent = Sent("chat", msgspec.Raw(b'{"messages":[{}]}'), 1, (Untranslated("odd", "No odd."),))
    request = replace(ASKED, sent=sent)
    if handoffs:
        with pytest.raises(ChatError, match=r"No odd\."):
            models.require_supported(request)
    else:
        models.require_supported(request)


@pytest.mark.parametrize(("handoffs", "most"), [((), "1"), (("technical",), "9")])
def test_a_budget_reserves_what_the_agents_may_cost_that_are_reached(handoffs: tuple[str, ...], most: str) -> None:
    priced = {
        name: Pricing(input_per_million_tokens=usd, output_per_million_tokens="0") for name, usd in PRICES.items()
    }
    models = tuple(Model(name=name, provider="scripted", model="echo", pricing=each) for name, each in priced.items())
    team = (member("billing", "clerk", *handoffs), member("technical", "engineer", "sales"), member("sales", "seller"))
    agents = RuntimeAgents(supervisor=RuntimeSupervisor(model="clerk"), members=team)
    book = PriceBook.of(local().model_copy(update={"models": models, "agents": agents}))
    assert book.most("agent:billing", 1_000_000, 0, EPOCH) == Decimal(most)


class Ledger:
    """A tool server whose one tool needs approval, for every model."""

    def __init__(self, max_steps: int = 8) -> None:
        self.calls: list[str] = []
        self.max_steps = max_steps

    def tool_use(self, model: str) -> ToolUse | None:
        return ToolUse(("t",), self.max_steps) if model else None

    async def tools(self, servers: Sequence[str]) -> Sequence[ServerTool]:
        return [ServerTool("t__create", each, "create", "Create.", {}, needs_approval=True) for each in servers]

    async def call(self, call: ServerToolCall) -> ServerToolResult:
        self.calls.append(call.id)
        return ServerToolResult(call.id, "made")


async def test_an_approved_call_is_made_by_the_agent_that_has_paused_and_not_again_after_a_hand_over() -> None:
    clerk, engineer = InTurn([*moves("technical"), CALLS]), InTurn([*text("Fixed."), STOP])
    models, ledger = catalogue(clerk, engineer, BILLING, TECHNICAL), Ledger()
    decided = DecidedStep((ServerToolCall(2, "c9", "t__create", "t", "create", "{}", approval="mcpar_1"),))
    steps = ToolSteps(fixed(ledger), ledger)
    events = await answered(models, replace(ASKED, decided=decided), steps=steps)

    assert ledger.calls == ["c9"]
    assert [event.name for event in events if isinstance(event, Agent)] == ["billing", "technical"]
    assert [role for role, _ in shape(engineer.asked[0])] == ["system", "user", *("assistant", "tool") * 2]
    assert isinstance(events[-1], Complete)


@pytest.mark.parametrize("is_taken_over", [False, True], ids=["at once", "taken over"])
async def test_the_bounds_of_hand_overs_and_of_an_agents_own_steps_go_on_after_a_pause(*, is_taken_over: bool) -> None:
    clerk, call = InTurn([STOP]), ServerToolCall(2, "c9", "t__create", "t", "create", "{}", approval="mcpar_1")
    request = replace(ASKED, decided=DecidedStep((call,), handoffs=1, agent_since=1))
    before = (start(), Agent("billing", "Named."), call, ServerToolResult("c9", "made")) if is_taken_over else ()
    ledger = Ledger(max_steps=3)
    models = catalogue(clerk, InTurn(), BILLING, TECHNICAL, max_handoffs=1)
    await answered(models, as_announced(request, before), before, ToolSteps(fixed(ledger), ledger))

    assert [(names(asked), asked.tool_choice) for asked in clerk.asked] == [(["t__create"], None)]
