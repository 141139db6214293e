"""The steps of models with tool servers: request the model, make the calls of its answer, request it again.

Calls are in the log of the run before they are made, and so are their results before the next request. A successor
goes on after the last finished step; a call without a result is made again only if its tool declares that it may be.
Calls that need approval end the answer before any call of their step is made; `approvals` has what follows a decision.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from chatfleet_api.chat.handoffs import names_of
from chatfleet_api.chat.steps import Answer, single_step
from chatfleet_api.chat.tool_progress import doubtful_calls, progress_of
from chatfleet_api.chat.tool_turn import ModelSteps, Stage, ToolTurn
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import ServerToolCall, ServerToolResult, Usage
from chatfleet_api.domain.live import Live
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.domain.tools import ServerTool, ToolUse
from chatfleet_api.providers.provider import Finish, Provider


class ToolUsers(Protocol):
    """The models of the current configuration."""

    def tool_use(self, model: str) -> ToolUse | None:
        """Return which tools of tool servers `model` may use; None: none."""
        ...


class ToolServers(Protocol):
    """The tool servers of the current configuration."""

    async def tools(self, servers: Sequence[str]) -> Sequence[ServerTool]:
        """Return the tools of `servers` that may be called; raises `ChatError(UPSTREAM_UNAVAILABLE)`."""
        ...

    async def call(self, call: ServerToolCall) -> ServerToolResult:
        """Call a tool; what fails is its result, for the model."""
        ...


class ToolSteps:
    """Takes any number of steps for models with tool servers, and one for all others."""

    def __init__(self, models: Live[ToolUsers], servers: ToolServers) -> None:
        self._models = models
        self._servers = servers

    async def __call__(self, provider: Provider, request: ChatRequest, answer: Answer) -> None:
        await self.of_agent(provider, request, answer, Stage(progress_of(answer.before)))

    async def of_agent(self, provider: Provider, request: ChatRequest, answer: Answer, stage: Stage) -> ToolTurn | None:
        """Take the steps of one agent, until its answer or a hand-over; None: there was one step."""
        if stage.progress.open is not None and stage.progress.open.waits:  # of the answer, its end alone is missing
            answer.emit((Finish("requires_action", Usage(estimated=True)),))
            return None
        use = self._models().tool_use(request.model)
        decided = request.decided if request.decided and stage.progress.steps < request.decided.number else None
        if decided is not None and use is None:
            raise ChatError(Code.INVALID_REQUEST, "The model has no tools any more. The calls were not made.")
        if use is None and stage.is_plain:
            await single_step(provider, request, answer.emit)
            return None
        tools = _offered(request, await self._servers.tools(use.servers)) if use else {}
        turn = ToolTurn(request, answer, ModelSteps(tools, self._servers.call, use and use.max_steps), stage)
        if stage.progress.open is not None:
            if error := doubtful_calls(answer.before):
                raise error
            await turn.finish(stage.progress.open)
        elif decided is not None:
            await turn.make(decided)
            await turn.ask(provider)  # the run itself has reserved it
        while not turn.ended:
            if turn.step:
                await answer.reserve()
            await turn.ask(provider)
        return turn


def _offered(request: ChatRequest, tools: Sequence[ServerTool]) -> Mapping[str, ServerTool]:
    """Return the tools by the names that models call; a function of the client goes before a tool of that name."""
    own = names_of(request.tools)
    return {tool.name: tool for tool in tools if tool.name not in own}
