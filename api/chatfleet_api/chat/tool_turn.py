"""The steps of one model in an answer, in turn: request it, make the calls of its answer, go on from these."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from chatfleet_api.chat import handoffs
from chatfleet_api.chat.steps import Answer, single_step
from chatfleet_api.chat.tool_approval import lapsed, unattended, with_approvals
from chatfleet_api.chat.tool_pieces import StepReader
from chatfleet_api.chat.tool_progress import CallingStep, Progress
from chatfleet_api.domain.errors import ChatError
from chatfleet_api.domain.events import Agent, RequiresAction, ServerToolCall, ServerToolResult, Thought, Usage
from chatfleet_api.domain.request import ChatRequest, DecidedStep, Function, Message, in_common_terms
from chatfleet_api.domain.tools import ServerTool
from chatfleet_api.providers.provider import Finish, Provider

PARALLEL_CALLS: Final = 8
"""Calls of one step that are made at a time."""


class Stage(NamedTuple):
    """Where the agent that answers stands in an answer of several."""

    progress: Progress = Progress()
    """The steps before, of other agents and of its own on a pod that died."""
    usage: Usage | None = None
    """What these have used."""
    targets: Mapping[str, str] = {}
    """The agents that it may hand over to, by the names of the functions."""
    tools: tuple[dict[str, Any], ...] = ()
    """These functions, as tools of a request."""
    max_steps: int | None = None
    """Most requests to models for the whole answer; None: only the model's own bound holds."""

    @property
    def is_plain(self) -> bool:
        """Whether hand-overs are none of it: neither before, nor to come."""
        return not self.targets and not self.progress.handoffs


class ModelSteps(NamedTuple):
    """What a model takes its steps with."""

    tools: Mapping[str, ServerTool]
    call: Callable[[ServerToolCall], Awaitable[ServerToolResult]]
    max_steps: int | None
    """Most requests to it; None: it has no bound of its own."""


class ToolTurn:
    """The steps of one model: the request that comes next, and what was used so far."""

    def __init__(self, request: ChatRequest, answer: Answer, model: ModelSteps, stage: Stage) -> None:
        own = handoffs.names_of(request.tools)
        offered = map(_function, model.tools.values())
        self._tools_of_client = request.tools
        self._answer, self._model, self._stage = answer, model, stage
        self._hands_over = lambda name: not stage.is_plain and name.startswith(handoffs.PREFIX) and name not in own
        self._slots = asyncio.Semaphore(PARALLEL_CALLS)
        self._agent = stage.progress.agent
        self.usage = stage.usage
        """Of the steps so far."""
        self.step = stage.progress.steps
        """Requests that were answered by calls, or by hand-overs."""
        self.request = replace(
            request,
            tools=(*request.tools, *offered, *(tool for tool in stage.tools if not handoffs.names_of((tool,)) & own)),
            keeps_thoughts=True,
            decided=None,
        )
        """The next request to the model."""
        self.added: tuple[Message, ...] = ()
        """What the steps have added to the messages of the request."""
        self.handoff: Agent | None = None
        """The agent that goes on."""
        self.ended = False

    async def ask(self, provider: Provider) -> None:
        """Request the model, and make its calls; in the last step it may make none."""
        is_last = self._is_last()
        reader = StepReader(self._model.tools, self._answer.emit, step=self.step + 1, hands_over=self._hands_over)
        await self._read(provider, reader, is_last=is_last)
        finish = reader.finish
        if finish is None:
            self.ended = True  # the turn reports that the answer was cut
            return
        self.usage = finish.usage if self.usage is None else self.usage + finish.usage
        step, handoff = reader.calling_step(), reader.handoff()
        calls = step is not None or handoff is not None
        if is_last or reader.calls_of_client or not calls:
            reason = "length" if is_last and calls and not reader.calls_of_client else finish.reason
            self._answer.emit((replace(finish, usage=self.usage, reason=reason),))
            self.ended = True
            return
        if step is not None:
            self.step += 1
            if self._answer.owner is not None and any(map(self._needs_approval, step.calls)):
                self._pause(step, finish, self._answer.owner())
                return
            await self._make_all(step, unattended(step.calls, self._model.tools))
        if handoff is not None:
            said, thoughts = ("", ()) if step else (reader.text, tuple(reader.thoughts))
            self._hand_over(handoff, said, thoughts)

    def _needs_approval(self, call: ServerToolCall) -> bool:
        return self._model.tools[call.name].needs_approval

    def _pause(self, step: CallingStep, finish: Finish, owner: str) -> None:
        """End the answer before any call of a step; a hand-over in the same one is left to the answer that goes on."""
        self._answer.publish((RequiresAction(with_approvals(step.calls, self._model.tools, owner)),))
        self._answer.emit((replace(finish, usage=self.usage, reason="requires_action"),))
        self.ended = True

    async def make(self, decided: DecidedStep) -> None:
        """Make the calls that an earlier answer has paused for."""
        self.step = decided.number
        refusals = (*decided.refusals, *lapsed(decided, self._model.tools))
        await self._make_all(CallingStep(decided.text, [*decided.calls]), refusals)

    async def _make_all(self, step: CallingStep, refusals: Sequence[ServerToolResult]) -> None:
        """Publish the calls of a step, and make those that are not refused."""
        step.results |= {result.id: result for result in refusals}
        self._answer.publish((*step.calls, *refusals))
        await self.finish(step)

    def _is_last(self) -> bool:
        """Return whether the next request is the last one: of the model, or of the whole answer."""
        own = self.step - self._stage.progress.agent_since
        most, of_all = self._model.max_steps, self._stage.max_steps
        return (most is not None and own + 1 >= most) or (of_all is not None and self.step + 1 >= of_all)

    async def _read(self, provider: Provider, reader: StepReader, *, is_last: bool) -> None:
        asked = in_common_terms(self.request)
        if not is_last or not self.request.tools:
            await single_step(provider, asked, reader.take)
        elif self._tools_of_client:  # the client's may be called: their results are not ours to wait for
            await single_step(provider, replace(asked, tools=self._tools_of_client), reader.take)
        else:
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
        self._go_on(lambda begun: CallingStep(f"{begun}{step.text}", step.calls, step.results).messages())

    async def _make(self, call: ServerToolCall, step: CallingStep) -> None:
        async with self._slots:
            result = await self._model.call(call)
        step.results[call.id] = result
        self._answer.publish((result,))

    def _hand_over(self, call: Function, text: str, thoughts: tuple[Thought, ...]) -> None:
        """Let the agent go on that a call names; a call that is not possible is explained to the model."""
        self.step += 1
        step, target = self.step, self._stage.targets.get(call.name)
        if target is None:
            self._go_on(lambda begun: handoffs.refused(f"{begun}{text}", thoughts, call.name, step))
            return
        to = Agent(target, handoffs.reason_of(call.arguments, self._agent), thoughts)
        self._go_on(lambda begun: handoffs.handed_over(f"{begun}{text}", to, step))
        self.handoff, self.ended = to, True

    def _go_on(self, taken: Callable[[str], Sequence[Message]]) -> None:
        """Add a finished step to the next request; the beginning of its text may be in this one."""
        request = self.request
        begun = request.messages[-1].content if request.continues else ""
        added = tuple(taken(begun if isinstance(begun, str) else ""))
        self.added += added
        self.request = with_steps(request, added)


def with_steps(request: ChatRequest, messages: Sequence[Message]) -> ChatRequest:
    """Return the request after finished steps; whatever the model had to call, it has called."""
    if not messages:
        return request
    before = request.messages[:-1] if request.continues else request.messages  # the steps have that beginning
    choice = request.tool_choice if request.tool_choice in ("auto", "none") else None
    return replace(request, messages=(*before, *messages), tool_choice=choice, continues=False)


def _function(tool: ServerTool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.schema}
    return {"type": "function", "function": function}
