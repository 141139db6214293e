"""Calls that need approval: which of a step wait for it, and what the model gets of those that are not made. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from chatfleet_api.chat.items import APPROVAL_REQUEST
from chatfleet_api.domain.events import ServerToolCall, ServerToolResult
from chatfleet_api.domain.request import DecidedStep
from chatfleet_api.domain.tools import ServerTool

MAX_REASON: Final = 2_000
"""Characters of the reason for a refusal that the model gets."""
_NOT_MADE: Final = "The tool was not called."


def with_approvals(
    calls: Sequence[ServerToolCall], tools: Mapping[str, ServerTool], owner: str
) -> tuple[ServerToolCall, ...]:
    """Return the calls of a step, those that need approval with the id under which they get it."""
    return tuple(
        replace(call, approval=f"{APPROVAL_REQUEST}{owner}_{number}") if tools[call.name].needs_approval else call
        for number, call in enumerate(calls, 1)
    )


def unattended(calls: Sequence[ServerToolCall], tools: Mapping[str, ServerTool]) -> list[ServerToolResult]:
    """Return the results of calls that need approval, in an answer that cannot wait for it."""
    reason = "Calls of it need the approval of a person, which only stored answers wait for."
    return [_refused(call, reason) for call in calls if tools[call.name].needs_approval]


def refused_by(call: ServerToolCall, reason: str) -> ServerToolResult:
    """Return the result of a call that a person has refused."""
    given = f" Reason: {reason[:MAX_REASON]}" if reason else ""
    return _refused(call, f"A person has refused this call.{given}")


def lapsed(step: DecidedStep, tools: Mapping[str, ServerTool]) -> list[ServerToolResult]:
    """Return the results of calls that are not made because the tools of the model have changed meanwhile."""
    known = {result.id for result in step.refusals}
    results: list[ServerToolResult] = []
    for call in step.calls:
        tool = tools.get(call.name)
        if call.id in known:
            continue
        if tool is None or (tool.server, tool.tool) != (call.server, call.tool):
            results.append(_refused(call, "It is no longer among the tools of this model."))
        elif tool.needs_approval and not call.approval:
            results.append(_refused(call, "By now, calls of it need the approval of a person. Call it again."))
    return results


def _refused(call: ServerToolCall, reason: str) -> ServerToolResult:
    return ServerToolResult(call.id, f"{_NOT_MADE} {reason}", is_error=True)
