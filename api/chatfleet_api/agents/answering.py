"""The providers of agents. Each announces who answers, and then answers by a model of the catalogue, as that agent.

A run that was taken over has announced its agent (`Routing.announced`) and keeps it.
"""

import logging
from collections.abc import AsyncGenerator, Mapping
from typing import NamedTuple

from msgspec.structs import replace
from typing_extensions import override

from chatfleet_api.agents.choice import REQUESTED, Choice, by_answer, by_rule, question_of, without_answer
from chatfleet_api.agents.routing import routing_request
from chatfleet_api.domain.cache_use import using
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Agent, Token
from chatfleet_api.domain.request import ChatRequest, forget_sent
from chatfleet_api.knowledge.prompt import instructed
from chatfleet_api.knowledge.sent import Additions, extended
from chatfleet_api.providers.provider import (
    Colleague,
    Delegating,
    Delegation,
    GeneratorOpening,
    ItemBatch,
    Opening,
    Provider,
    Team,
)
from chatfleet_contract.runtime import RuntimeAgents, RuntimeSupervisor
from chatfleet_contract.spec.providers import Parameters

REFUSES_A_SCHEMA = frozenset({Code.INVALID_REQUEST, Code.UPSTREAM_REJECTED})
"""How upstreams without structured outputs answer a request that has a schema."""

logger = logging.getLogger(__name__)


class Profile(NamedTuple):
    """What an agent adds to requests."""

    name: str
    model: str
    """A name of the catalogue."""
    instructions: str | None = None
    parameters: Parameters = Parameters()
    description: str = ""
    handoffs: tuple[str, ...] = ()
    """The agents to which it may hand over."""

    def request(self, asked: ChatRequest) -> ChatRequest:
        """Return what the agent's model gets, also in the client's own words where it has them: a copy of these."""
        defaults = self.parameters.model_dump(exclude_none=True)
        missing = {name: value for name, value in defaults.items() if getattr(asked, name) is None}
        messages, sent = asked.messages, asked.sent and replace(asked.sent)
        if self.instructions:
            messages = tuple(instructed(messages, self.instructions))
        if self.instructions and sent is not None:
            more = len(messages) - len(asked.messages)
            added = extended(sent, Additions(self.instructions, "", caches=False))
            sent = replace(added, messages=sent.messages + more)
        return replace(asked, model=self.model, messages=messages, sent=sent, routing=None, **missing)


class Answering(Delegating):
    """A provider that answers as one agent."""

    def __init__(
        self, profile: Profile, inner: Provider, bounds: RuntimeSupervisor, others: Mapping[str, "Answering"]
    ) -> None:
        """`others` has all agents, also those that are added to it later."""
        self.profile = profile
        self._inner = inner
        self._bounds = bounds
        self._others = others

    def open(self, request: ChatRequest) -> Opening:
        return GeneratorOpening(_delegated(self, request))

    @override
    async def delegate(self, request: ChatRequest, reason: str = REQUESTED) -> Delegation:
        """Return the agent's model and what it gets; the agent is announced unless it was."""
        announced = request.routing is not None and request.routing.announced
        agent = None if announced else Agent(self.profile.name, reason)
        return Delegation(self.profile.name, agent, self._inner, self.profile.request(request), self._team())

    def _team(self) -> Team:
        """Return whom the agent may hand over to; a member without instructions is not there."""
        others = [self._others[name] for name in self.profile.handoffs if name in self._others]
        colleagues = tuple(Colleague(each.profile.name, each.profile.description, each) for each in others)
        return Team(colleagues, self._bounds.max_handoffs, self._bounds.max_steps)


class Supervising(Delegating):
    """A provider that has each request answered by the agent it fits."""

    def __init__(self, agents: RuntimeAgents, answering: Mapping[str, Answering], router: Provider) -> None:
        """`answering` has the supervisor itself and every member; `router` is the model of the supervisor."""
        self._agents = agents
        self._members = frozenset(member.name for member in agents.members)
        self._answering = answering
        self._router = router

    def open(self, request: ChatRequest) -> Opening:
        return GeneratorOpening(_delegated(self, request))

    @override
    async def delegate(self, request: ChatRequest) -> Delegation:
        """Choose an agent, and return its model and what that gets."""
        choice = await self._choose(request)
        return await self._answering[choice.name].delegate(request, choice.reason)

    async def _choose(self, request: ChatRequest) -> Choice:
        question = question_of(request.messages)
        last = request.routing.last if request.routing else ""
        if named := by_rule(self._agents.members, question):
            return named
        if not self._members:
            return without_answer("", (), "No member has instructions.")
        try:
            text = await self._routed(routing_request(self._agents, request.messages, last))
        except ChatError as error:
            logger.warning("The model of the supervisor has chosen no agent: %s", error)
            return without_answer(last, self._members, f"The routing request failed with {error.code}.")
        return by_answer(text, self._members) or without_answer(
            last, self._members, "The answer to the routing request names no agent."
        )

    async def _routed(self, request: ChatRequest) -> str:
        """Return the answer to the routing request, with a schema if the upstream takes one."""
        try:
            return await self._text(request)
        except ChatError as error:
            if error.code not in REFUSES_A_SCHEMA:
                raise
        return await self._text(replace(request, response_format=None))

    async def _text(self, request: ChatRequest) -> str:
        pieces: list[str] = []
        with using(None):  # the response cache is for the answer of the agent
            async with self._router.open(request) as stream:
                async for batch in stream:
                    pieces += (piece.text for piece in batch if isinstance(piece, Token))
        return "".join(pieces)


async def _delegated(provider: Delegating, request: ChatRequest) -> AsyncGenerator[ItemBatch, None]:
    to = await provider.delegate(request)
    if to.agent is not None:
        yield (to.agent,)
    async with to.provider.open(to.request) as stream:
        forget_sent(to.request)
        async for batch in stream:
            yield batch
