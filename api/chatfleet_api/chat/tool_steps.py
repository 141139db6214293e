"""The steps of models with tool servers: request the model, make the calls of its answer, request it again.

Calls are in the log of the run before they are made, and so are their results before the next request. A successor
goes on after the last finished step; a call without a result is made again only if its tool declares that it may be.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from msgspec.structs import replace

from chatfleet_api.chat.steps import Answer, single_step
from chatfleet_api.chat.tool_pieces import StepReader
from chatfleet_api.chat.tool_progress import CallingStep, doubtful_calls, progress_of
from chatfleet_api.domain.errors import ChatError
from chatfleet_api.domain.events import ServerToolCall, ServerToolResult, Usage
from chatfleet_api.domain.live import Live
from chatfleet_api.domain.request import ChatRequest, Message, in_common_terms
from chatfleet_api.domain.tools import ServerTool, ToolUse
from chatfleet_api.providers.provider import Provider

PARALLEL_CALLS: Final = 8
"""Calls of one step that are made at a time."""


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
        use = self._models().tool_use(request.model)
        if use is None:
            await single_step(provider, request, answer.emit)
            return
        tools = _offered(request, await self._servers.tools(use.servers))
        turn = _Turn(request, tools, answer, self._servers.call)
        progress = progress_of(answer.before)
        turn.step = progress.steps
        if progress.open is not None:
            if error := doubtful_calls(answer.before):
                raise error
            await turn.finish(progress.open)
        while not turn.ended:
            if turn.step:
                await answer.reserve()
            await turn.ask(provider, is_last=turn.step + 1 >= use.max_steps)


def _offered(request: ChatRequest, tools: Sequence[ServerTool]) -> Mapping[str, ServerTool]:
    """Return the tools by the names that models call; a function of the client goes before a tool of that name."""
    own = {(tool.get("function") or {}).get("name") for tool in request.tools}
    return {tool.name: tool for tool in tools if tool.name not in own}


class _Turn:
    """One answer: the request that comes next, and what was used so far."""

    def __init__(
        self,
        request: ChatRequest,
        tools: Mapping[str, ServerTool],
        answer: Answer,
        call: Callable[[ServerToolCall], Any],
    ) -> None:
        self._own_tools = request.tools
        self._tools = tools
        self._answer = answer
        self._call = call
        self._usage: Usage | None = None
        self._slots = asyncio.Semaphore(PARALLEL_CALLS)
        self.step = 0
        """Requests that were answered by calls."""
        self.request = replace(request, tools=(*request.tools, *map(_function, tools.values())), keeps_thoughts=True)
        """The next request to the model."""
        self.ended = False

    async def ask(self, provider: Provider, *, is_last: bool) -> None:
        """Request the model, and make its calls; in the last step it may make none."""
        asked = in_common_terms(self.request)
        reader = StepReader(self._tools, self._answer.emit, step=self.step + 1)
        if is_last:
            await self._ask_last(provider, asked, reader)
        else:
            await single_step(provider, asked, reader.take)
        finish = reader.finish
        if finish is None:
            self.ended = True  # the turn reports that the answer was cut
            return
        self._usage = finish.usage if self._usage is None else self._usage + finish.usage
        step = reader.calling_step()
        if is_last or reader.calls_of_client or step is None:
            reason = "length" if is_last and step and not reader.calls_of_client else finish.reason
            self._answer.emit((replace(finish, usage=self._usage, reason=reason),))
            self.ended = True
            return
        self._answer.publish(step.calls)
        self.step += 1
        await self.finish(step)

    async def _ask_last(self, provider: Provider, asked: ChatRequest, reader: StepReader) -> None:
        if self._own_tools:  # the client's may be called: their results are not ours to wait for
            await single_step(provider, replace(asked, tools=self._own_tools), reader.take)
            return
        try:
            await single_step(provider, replace(asked, tool_choice="none"), reader.take)
        except ChatError as error:
            if error.param != "tool_choice":  # Bedrock cannot forbid a model the tools that it has called
                raise
            await single_step(provider, asked, reader.take)

    async def finish(self, step: CallingStep) -> None:
        """Make the calls of a step that have no result, once the log has them."""
        await self._answer.stored()
        async with asyncio.TaskGroup() as calls:
            for call in step.pending:
                calls.create_task(self._make(call, step))
        self.request = _continued(self.request, step)

    async def _make(self, call: ServerToolCall, step: CallingStep) -> None:
        async with self._slots:
            result = await self._call(call)
        step.results[call.id] = result
        self._answer.publish((result,))


def _continued(request: ChatRequest, step: CallingStep) -> ChatRequest:
    """Return the request after a step; whatever it had to call, it has called."""
    messages, text = request.messages, step.text
    if request.continues:  # the last message is the beginning of the step's text
        begun, messages = messages[-1].content, messages[:-1]
        text = f"{begun if isinstance(begun, str) else ''}{text}"
    said, *results = CallingStep(text, step.calls, step.results).messages()
    choice = request.tool_choice if request.tool_choice in ("auto", "none") else None
    return replace(request, messages=(*messages, said, *results), tool_choice=choice, continues=False)


def _function(tool: ServerTool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.schema}
    return {"type": "function", "function": function}


def continued_messages(request: ChatRequest, messages: Sequence[Message]) -> ChatRequest:
    """Return the request after finished steps of another pod."""
    if not messages:
        return request
    choice = request.tool_choice if request.tool_choice in ("auto", "none") else None
    return replace(request, messages=(*request.messages, *messages), tool_choice=choice)
