"""The step of agents before all others: who answers is chosen and announced. The others are taken with its model.

So the log has the agent before its model gets anything, and its tools are those of that model.
"""

from chatfleet_api.chat.steps import Answer, Steps
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.provider import Delegating, Provider


class AgentSteps:
    """Takes the step of agents before `steps`, and only these for all other models."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    async def __call__(self, provider: Provider, request: ChatRequest, answer: Answer) -> None:
        if isinstance(provider, Delegating):
            agent, provider, request = await provider.delegate(request)
            if agent is not None:
                answer.publish((agent,))
        await self._steps(provider, request, answer)
