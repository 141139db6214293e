"""The steps of agents: who answers is chosen and announced, takes its steps, and may hand over to another.

The log has an agent before its model gets anything. All other steps are taken with that model, so its tools and
parameters are those that hold. A successor goes on with the agent that was announced last.
"""

from collections.abc import Awaitable
from typing import Protocol

from msgspec.structs import replace

from chatfleet_api.chat.handoffs import function_name, function_of
from chatfleet_api.chat.steps import Answer
from chatfleet_api.chat.tool_progress import Progress, progress_of
from chatfleet_api.chat.tool_turn import Stage, ToolTurn, with_steps
from chatfleet_api.domain.request import ChatRequest, Routing
from chatfleet_api.providers.provider import Colleague, Delegating, Provider, Team
from chatfleet_api.usage import attempts
from chatfleet_contract.spec.agents import SUPERVISOR


class ModelSteps(Protocol):
    """The steps of one model."""

    def __call__(self, provider: Provider, request: ChatRequest, answer: Answer) -> Awaitable[None]:
        """Take those of a model that is no agent's."""
        ...

    def of_agent(
        self, provider: Provider, request: ChatRequest, answer: Answer, stage: Stage
    ) -> Awaitable[ToolTurn | None]:
        """Take those of one agent, until its answer or a hand-over; None: there was one step."""
        ...


class AgentSteps:
    """Takes the steps of agents, each by `steps`, and only these for all other models."""

    def __init__(self, steps: ModelSteps) -> None:
        self._steps = steps

    async def __call__(self, provider: Provider, request: ChatRequest, answer: Answer) -> None:
        if not isinstance(provider, Delegating):
            await self._steps(provider, request, answer)
            return
        attempts.of_agent(SUPERVISOR)  # the choice
        delegated = await provider.delegate(request)
        if delegated.agent is not None:
            answer.publish((delegated.agent,))
        progress = progress_of(answer.before, request.decided)
        progress.agent = delegated.name
        stage = _stage(delegated.team, progress)
        while True:
            attempts.of_agent(delegated.name)
            turn = await self._steps.of_agent(delegated.provider, delegated.request, answer, stage)
            if turn is None or turn.handoff is None:
                return
            answer.publish((turn.handoff,))
            await answer.stored()
            request = replace(with_steps(request, turn.added), routing=Routing(announced=True))
            delegated = await _colleague(delegated.team, turn.handoff.name).provider.delegate(request)
            handoffs = stage.progress.handoffs + 1
            progress = Progress(steps=turn.step, agent=delegated.name, handoffs=handoffs, agent_since=turn.step)
            stage = _stage(delegated.team, progress)._replace(usage=turn.usage)


def _stage(team: Team, progress: Progress) -> Stage:
    """Return where an agent begins; it may hand over as often as is left."""
    targets = team.colleagues if progress.handoffs < team.max_handoffs else ()
    functions = tuple(function_of(each.name, each.description) for each in targets)
    names = {function_name(each.name): each.name for each in targets}
    return Stage(progress, None, names, functions, team.max_steps - 1)  # the choice was a step


def _colleague(team: Team, name: str) -> Colleague:
    return next(each for each in team.colleagues if each.name == name)
