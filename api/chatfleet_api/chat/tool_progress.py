"""How far the steps of an answer got: from the events that a pod has logged, to the messages that continue them. Pure.

A step is finished when each of its calls has a result, or with the agent that it hands over to. What comes after the
last finished one is open.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from chatfleet_api.chat.handoffs import handed_over
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import (
    Agent,
    Event,
    RequiresAction,
    ServerToolCall,
    ServerToolResult,
    Thought,
    Token,
)
from chatfleet_api.domain.request import DecidedStep, Function, Message, MessageToolCall
from chatfleet_api.domain.tools import arguments_of


@dataclass
class CallingStep:
    """A request to the model that was answered by calls of tools."""

    text: str = ""
    calls: list[ServerToolCall] = field(default_factory=list)
    results: dict[str, ServerToolResult] = field(default_factory=dict)
    waits: bool = False
    """Whether its calls wait for approval: none of them was made."""

    @property
    def pending(self) -> list[ServerToolCall]:
        """The calls without a result."""
        return [call for call in self.calls if call.id not in self.results]

    def messages(self) -> tuple[Message, ...]:
        """Return the model's part of the step, and what became of its calls."""
        thoughts: list[Thought] = [thought for call in self.calls for thought in call.thoughts]
        made = [MessageToolCall(call.id, Function(call.name, _valid(call.arguments))) for call in self.calls]
        said = Message("assistant", self.text or None, tool_calls=[*made], thoughts=thoughts or None)
        results = (Message("tool", self.results[call.id].content, tool_call_id=call.id) for call in self.calls)
        return (said, *results)


@dataclass
class Progress:
    """The steps of an answer so far."""

    messages: tuple[Message, ...] = ()
    """Of the finished steps."""
    steps: int = 0
    """Requests to models that were answered by calls, or by a hand-over."""
    agent: str = ""
    """Who answers; empty: no agent."""
    handoffs: int = 0
    """How often an agent has handed over to another."""
    agent_since: int = 0
    """Steps before the agent that answers."""
    open: CallingStep | None = None
    """A step of which calls have no result."""
    rest: Sequence[Event] = ()
    """What came after the last finished step."""


def progress_of(events: Sequence[Event], decided: DecidedStep | None = None) -> Progress:
    """Return how far an answer got, from its log; one that goes on with a step that was `decided` begins there."""
    progress, step, rest = _begun(decided), CallingStep(), list[Event]()
    for event in events:
        if isinstance(event, RequiresAction):
            step.calls, step.waits = [*event.calls], True
            progress.steps = event.calls[0].step
        elif isinstance(event, ServerToolCall):
            if step.waits:  # decided: the answer that goes on has them once more
                step.calls, step.waits = [], False
            step.calls.append(event)
            progress.steps = event.step
        elif isinstance(event, ServerToolResult):
            step.results[event.id] = event
            if step.calls and not step.pending:
                progress.messages += step.messages()
                step, rest = CallingStep(), []
        elif isinstance(event, Agent):
            if progress.agent not in ("", event.name):  # an answer that goes on after a pause announces it once more
                progress.steps += 1
                progress.handoffs, progress.agent_since = progress.handoffs + 1, progress.steps
                progress.messages += handed_over(step.text, event, progress.steps)
                step, rest = CallingStep(), []
            progress.agent = event.name
        else:
            rest.append(event)
            if isinstance(event, Token):
                step.text += event.text
    progress.open, progress.rest = (step if step.calls else None), rest
    return progress


def _begun(decided: DecidedStep | None) -> Progress:
    return Progress() if decided is None else Progress(handoffs=decided.handoffs, agent_since=decided.agent_since)


def doubtful_calls(events: Sequence[Event]) -> ChatError | None:
    """Return the error for calls that may have been made and may not be made again; None: there are none."""
    step = progress_of(events).open
    pending = step.pending if step and not step.waits else ()
    doubtful = [f"{call.tool} of tool server {call.server}" for call in pending if not call.repeatable]
    if not doubtful:
        return None
    named = ", ".join(doubtful)
    message = f"The answer was interrupted during a call of {named}, which may have been made."
    return ChatError(Code.INTERRUPTED, message)


def _valid(arguments: str) -> str:
    """Return arguments as vendors take them back: an object."""
    return "{}" if not arguments or arguments_of(arguments) is None else arguments
