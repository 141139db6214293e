"""What agents answer, and what their models get: announced first, with their own instructions, in any conversation."""

import dataclasses
from collections.abc import Sequence
from decimal import Decimal

import msgspec
import pytest

from chatfleet_api.agents.catalogue import AgentCatalogue
from chatfleet_api.chat.accounting import Accounting
from chatfleet_api.chat.agent_steps import AgentSteps
from chatfleet_api.chat.sending import NewMessage
from chatfleet_api.chat.takeover import as_announced
from chatfleet_api.chat.turn import Seams
from chatfleet_api.domain.dispatch import Dispatcher, EventKind
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Agent, AgentUsage, Complete, Event, Start, Token
from chatfleet_api.domain.request import ChatRequest, Message, Routing, Sent
from chatfleet_api.pod.configuration import local
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.pod.served_models import served_models
from chatfleet_api.providers.provider import AnswerItem, StreamItem
from chatfleet_api.usage.memory_ledger import MemoryLedger
from chatfleet_api.usage.price_book import PriceBook
from chatfleet_contract.runtime import RuntimeAgents, RuntimeConfig, RuntimeMember, RuntimeSupervisor
from chatfleet_contract.spec.agents import Route
from chatfleet_contract.spec.pricing import Pricing
from chatfleet_contract.spec.providers import Model, Parameters
from harness.pods.live import fixed
from harness.pods.runs import (
    CALLER,
    EPOCH,
    STOP,
    TENANT,
    Chat,
    FakeProvider,
    collect,
    loop_now,
    make_chat,
    text,
    without_servers,
)
from harness.upstream.catalogue import ask, registry_of

pytestmark = pytest.mark.looptime

BILLING = RuntimeMember(
    name="billing",
    description="invoices, refunds and payments",
    model="quote",
    instructions="Bill politely.",
    parameters=Parameters(temperature=0.1, max_tokens=40),
    route=Route(when_contains=["invoice"]),
)
TECHNICAL = RuntimeMember(name="technical", description="errors and crashes", model="quote", instructions="Fix things.")
AGENTS = RuntimeAgents(
    supervisor=RuntimeSupervisor(model="router", instructions="Greet."), members=(BILLING, TECHNICAL)
)
PRICED = Pricing(input_per_million_tokens="1", output_per_million_tokens="1")
CONFIG = local().model_copy(
    update={
        "models": (
            Model(name="router", provider="scripted", model="router", pricing=PRICED),
            Model(name="quote", provider="scripted", model="instructions", pricing=PRICED),
        ),
        "agents": AGENTS,
    }
)


def agent_catalogue(router: FakeProvider, member: FakeProvider) -> AgentCatalogue:
    """Return a catalogue whose two models are fakes."""
    entries = {model.name: model for model in CONFIG.models}
    return AgentCatalogue({"router": router, "quote": member}, {}, entries, {}, agents=AGENTS)


def chat_of(config: RuntimeConfig = CONFIG, dispatcher: Dispatcher | None = None) -> Chat:
    meter = Meter("1")
    catalogue = served_models(registry_of(meter), config)
    accounting = Accounting(ledger=MemoryLedger(), prices=fixed(PriceBook.of(config)), now=loop_now, meter=meter)
    seams = Seams(accounting=accounting, steps=AgentSteps(without_servers(catalogue)), dispatcher=dispatcher)
    ports = make_chat(FakeProvider(), seams=seams).ports
    return Chat(dataclasses.replace(ports, catalogue=fixed(catalogue)))


def hi(content: str = "Hello", **more: object) -> ChatRequest:
    return msgspec.structs.replace(ChatRequest("agent", (Message("user", content),)), **more)


def announced(items: Sequence[AnswerItem | Event]) -> Agent:
    (found,) = (item for item in items if isinstance(item, Agent))
    return found


async def test_who_answers_is_made_known_without_the_reason() -> None:
    dispatcher = Dispatcher("pod", now=loop_now, dropped=lambda _: None)
    chat = chat_of(dispatcher=dispatcher)
    with dispatcher.listening("tap", [EventKind.AGENT]) as listener:
        run = await chat.completions.start(CALLER, hi("My invoice is wrong"))
        await collect(run.read())
        [notice] = listener.waiting(10)
    assert (notice.tenant, notice.facts["run"], notice.facts["agent"]) == (TENANT, run.id, "billing")
    assert "invoice" not in str(notice.facts)


async def send(chat: Chat, conversation: str, said: str, model: str | None = None) -> list[Event]:
    run = await chat.conversations.send(CALLER, conversation, NewMessage(said, model))
    return [event for _, event in await collect(run.read())]


async def test_a_rule_chooses_without_asking_a_model() -> None:
    router, member = FakeProvider(ChatError(Code.INTERNAL)), FakeProvider(text("Here."), [STOP])
    outcome = await ask(agent_catalogue(router, member).provider("agent"), hi("My invoice is wrong"))
    assert outcome.batches[0] == (Agent("billing", "The message contains 'invoice'."),)
    assert (outcome.text, router.asked) == ("Here.", [])


async def test_the_model_of_the_supervisor_chooses() -> None:
    router = FakeProvider(text('{"agent": "technical",', ' "reason": "A crash."}'), [STOP])
    member = FakeProvider(text("Restart."), [STOP])
    outcome = await ask(agent_catalogue(router, member).provider("agent"), hi("It crashes"))
    assert announced(outcome.pieces) == Agent("technical", "A crash.")
    assert (outcome.text, member.asked[0].messages[0].content) == ("Restart.", "Fix things.")


@pytest.mark.parametrize("last", ["", "technical"])
@pytest.mark.parametrize("routing", [text("I cannot say."), ChatError(Code.UPSTREAM_OVERLOADED)])
async def test_without_a_choice_the_last_member_or_the_supervisor_answers_with_a_reason(
    last: str, routing: Sequence[StreamItem] | ChatError
) -> None:
    router = FakeProvider(routing, [STOP])
    member = FakeProvider(text("Member."), [STOP])
    outcome = await ask(agent_catalogue(router, member).provider("agent"), hi(routing=Routing(last)))
    assert announced(outcome.pieces).name == (last or "supervisor")
    assert "routing request" in announced(outcome.pieces).reason


async def test_an_upstream_without_structured_outputs_is_asked_without_a_schema() -> None:
    router = FakeProvider(ChatError(Code.UPSTREAM_REJECTED))
    await ask(agent_catalogue(router, FakeProvider(text("x"), [STOP])).provider("agent"), hi())
    first, second, *_ = router.asked
    assert first.response_format
    assert second == msgspec.structs.replace(first, response_format=None)


@pytest.mark.feature(28)
async def test_a_member_adds_its_instructions_and_parameters_and_keeps_those_of_the_request() -> None:
    member = FakeProvider(text("x"), [STOP])
    agents = agent_catalogue(FakeProvider(), member)
    asked = (Message("system", "In French."), Message("user", "Hello"))
    await ask(agents.provider("agent:billing"), hi(messages=asked, temperature=1.0))
    (got,) = member.asked
    assert [message.content for message in got.messages] == ["Bill politely.\n\nIn French.", "Hello"]
    assert (got.model, got.temperature, got.max_tokens) == ("quote", 1.0, 40)


async def test_what_the_client_sent_in_its_own_dialect_goes_on_with_the_instructions() -> None:
    member = FakeProvider(text("x"), [STOP])
    body = msgspec.Raw(b'{"messages":[{"role":"user","content":"Hello"}],"novelty":{"a":1}}')
    asked = hi(sent=Sent("chat", body, 1))
    stream = agent_catalogue(FakeProvider(), member).provider("agent:technical").open(asked)
    async with stream as batches:
        assert asked.sent
        msgspec.structs.force_setattr(asked.sent, "body", msgspec.Raw(b"null"))  # as a turn does after the first batch
        sent = [member.asked[0].sent and bytes(member.asked[0].sent.body) async for _ in batches if member.asked]
    assert member.asked[0].sent
    assert member.asked[0].sent.messages == 2
    assert sent


async def test_a_run_that_was_taken_over_keeps_its_agent_and_announces_it_once() -> None:
    member = FakeProvider(text("x"), [STOP])
    before: list[Event] = [Start("r", "agent", 0), Agent("billing", "Why.")]
    request = as_announced(hi("It crashes"), before)
    outcome = await ask(agent_catalogue(FakeProvider(), member).provider(request.model), request)
    assert request.model == "agent:billing"
    assert not [piece for piece in outcome.pieces if isinstance(piece, Agent)]
    assert member.asked[0].messages[0].content == "Bill politely."
    assert as_announced(hi(), before[:1]) == hi()


async def test_a_conversation_stays_with_a_member_until_the_topic_changes() -> None:
    chat = chat_of()
    conversation = (await chat.conversations.create(CALLER)).id
    said = ["My payments fail", "Why is that?", "It shows errors", "What now?"]
    events = [await send(chat, conversation, each) for each in said]
    assert [announced(each).name for each in events] == ["billing", "billing", "technical", "technical"]
    assert all(isinstance(each[0], Start) and isinstance(each[1], Agent) for each in events)
    kept = await chat.sessions.messages(TENANT, conversation)
    assert [message.model for message in kept if message.role == "assistant"] == [
        *("agent:billing", "agent:billing", "agent:technical", "agent:technical")
    ]


async def test_the_routing_request_is_paid_with_the_answer() -> None:
    chat = chat_of()
    conversation = (await chat.conversations.create(CALLER)).id
    by_rule = await send(chat, conversation, "invoice")
    by_model = await send(chat, conversation, "refunds")
    ends = [end for events in (by_rule, by_model) if isinstance(end := events[-1], Complete)]
    first, second = (end.usage for end in ends)
    assert first.cost_usd == Decimal(first.input_tokens + first.output_tokens) / 1_000_000
    assert second.cost_usd == Decimal(second.input_tokens + second.output_tokens) / 1_000_000
    assert second.input_tokens > first.input_tokens + 50  # the instructions of the routing request
    assert ends[0].agents == (AgentUsage("billing", first),)
    assert [part.name for part in ends[1].agents] == ["supervisor", "billing"]
    assert ends[1].agents[0].usage + ends[1].agents[1].usage == second


async def test_the_supervisor_answers_what_no_member_covers() -> None:
    chat = chat_of()
    conversation = (await chat.conversations.create(CALLER)).id
    events = await send(chat, conversation, "Hello")
    assert announced(events).name == "supervisor"
    assert "".join(event.text for event in events if isinstance(event, Token)) == "Hello"


def test_agents_are_models_and_the_first_of_them_is_the_default() -> None:
    catalogue = served_models(registry_of(Meter("1")), CONFIG)
    assert catalogue.models() == ("agent", "agent:billing", "agent:technical", "router", "quote")
    assert catalogue.max_tokens("agent:billing") == 40
    assert catalogue.max_tokens("agent") is None
    with pytest.raises(ChatError) as unknown:
        catalogue.provider("agent:other")
    assert unknown.value.code is Code.MODEL_NOT_FOUND
    with pytest.raises(ChatError) as vectors:
        catalogue.embedding("agent")
    assert vectors.value.code is Code.INVALID_REQUEST


def test_an_agent_with_an_unknown_model_is_named() -> None:
    agents = AGENTS.model_copy(update={"supervisor": RuntimeSupervisor(model="gone")})
    with pytest.raises(ValueError, match="agent supervisor: model gone is not in models"):
        served_models(registry_of(Meter("1")), CONFIG.model_copy(update={"agents": agents}))


def test_a_budget_reserves_the_price_of_the_most_expensive_agent() -> None:
    dear = CONFIG.models[1].model_copy(
        update={"pricing": Pricing(input_per_million_tokens="9", output_per_million_tokens="9")}
    )
    book = PriceBook.of(CONFIG.model_copy(update={"models": (CONFIG.models[0], dear)}))
    at = EPOCH
    assert book.most("agent", 10, 10, at) == book.most("quote", 10, 10, at) != book.most("router", 10, 10, at)
    assert book.named("agent:billing") == book.named("quote")
