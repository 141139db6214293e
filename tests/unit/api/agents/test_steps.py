"""The step of agents: other steps are taken with the model of the agent, whose tools and limits hold."""

import subprocess
import sys
from collections.abc import Sequence
from unittest.mock import create_autospec

import msgspec
import pytest
from typing_extensions import override

from chatfleet_api.chat.agent_steps import AgentSteps
from chatfleet_api.chat.steps import Answer
from chatfleet_api.chat.tool_steps import ToolServers, ToolSteps
from chatfleet_api.chat.tool_turn import Stage, ToolTurn
from chatfleet_api.domain.events import Agent, Event, Token
from chatfleet_api.domain.request import ChatRequest, Message, Routing
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.pod.served_models import served_models
from chatfleet_api.providers.provider import AnswerItem, ItemBatch, Provider
from chatfleet_contract.runtime import RuntimeAgents, RuntimeConfig, RuntimeMember, RuntimeProvider, RuntimeSupervisor
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model
from harness.pods.live import fixed
from harness.upstream.catalogue import registry_of

pytestmark = pytest.mark.looptime

MEMBER = RuntimeMember(name="billing", description="invoices", model="clerk", instructions="Be brief.")
CONFIG = RuntimeConfig(
    deployment="d",
    namespace="n",
    providers=(RuntimeProvider(name="script", type=ProviderType.SCRIPTED),),
    models=(Model(name="clerk", provider="script", model="echo"),),
    agents=RuntimeAgents(supervisor=RuntimeSupervisor(model="clerk"), members=(MEMBER,)),
)
HI = (Message("user", "Hi"),)


async def nothing() -> None:
    """Stand for a log that stores at once, and for limits that are none."""


async def taken(model: str, routing: Routing | None = None) -> tuple[list[str], list[AnswerItem]]:
    """Return the models of the steps after that of agents, and what came."""
    models: list[str] = []
    items: list[AnswerItem] = []

    class Noting(ToolSteps):
        @override
        async def of_agent(
            self, provider: Provider, request: ChatRequest, answer: Answer, stage: Stage
        ) -> ToolTurn | None:
            models.append(request.model)
            return await super().of_agent(provider, request, answer, stage)

    def emit(pieces: ItemBatch) -> None:
        items.extend(pieces)

    def publish(events: Sequence[Event]) -> None:
        items.extend(event for event in events if isinstance(event, Agent))

    request = msgspec.structs.replace(ChatRequest(model, HI), routing=routing)
    catalogue = served_models(registry_of(Meter("1")), CONFIG)
    steps, provider = Noting(fixed(catalogue), create_autospec(ToolServers, instance=True)), catalogue.provider(model)
    await AgentSteps(steps)(provider, request, Answer(emit, publish, nothing, nothing))
    return models, items


async def test_other_steps_know_the_model_of_the_catalogue_after_the_announcement() -> None:
    models, items = await taken("agent:billing")
    assert models == ["clerk"]
    assert items[0] == Agent("billing", "The request names this agent.")
    assert Token("Hi") in items


async def test_an_announced_agent_is_not_announced_again_and_a_model_is_none() -> None:
    _, resumed = await taken("agent:billing", Routing(announced=True))
    models, plain = await taken("clerk")
    assert models == ["clerk"]
    assert not [item for item in (*resumed, *plain) if isinstance(item, Agent)]


def test_without_agents_nothing_of_them_is_imported() -> None:
    code = (
        "import sys, chatfleet_api.pod.services as pod\n"
        "assert not [name for name in sys.modules if name.startswith('chatfleet_api.agents')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
