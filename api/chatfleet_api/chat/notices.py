"""What a run makes known to those who listen inside of the pod: that it begins, streams, calls and ends; no content."""

from collections.abc import Callable, Sequence

from chatfleet_api.domain.dispatch import Dispatcher, EventKind
from chatfleet_api.domain.events import (
    Agent,
    Complete,
    Event,
    Extended,
    Reasoning,
    ServerToolCall,
    Start,
    Terminal,
    Token,
)
from chatfleet_api.domain.request import AnyToolCall, CustomToolCall
from chatfleet_api.usage.record import Consumer


def begun(dispatcher: Dispatcher | None, tenant: str, start: Start, consumer: Consumer) -> None:
    """Make known that a run begins."""
    if dispatcher is not None:
        dispatcher.emit(EventKind.STREAM_START, tenant, **_of(start, consumer))


def received(dispatcher: Dispatcher, tenant: str, run: str, events: Sequence[Event]) -> None:
    """Make known what one read of the upstream has brought."""
    pieces = [piece for event in events for piece in (event.pieces if isinstance(event, Extended) else (event,))]
    texts = [piece.text for piece in pieces if isinstance(piece, Token | Reasoning)]
    if texts:
        characters = sum(map(len, texts))
        dispatcher.emit(EventKind.TOKEN_RECEIVED, tenant, run=run, pieces=len(texts), characters=characters)


def stepping(
    dispatcher: Dispatcher | None, tenant: str, start: Start, publish: Callable[[Sequence[Event]], None]
) -> Callable[[Sequence[Event]], None]:
    """Return `publish`, which also makes known what comes from no provider: who answers, and calls of our tools."""
    if dispatcher is None:
        return publish

    def published(events: Sequence[Event]) -> None:
        publish(events)
        of = {"run": start.run, "conversation": start.conversation}
        for event in events:
            if isinstance(event, Agent):
                dispatcher.emit(EventKind.AGENT, tenant, **of, model=start.model, agent=event.name)
            elif isinstance(event, ServerToolCall):
                facts = {"tool": event.tool, "server": event.server, "step": event.step}
                dispatcher.emit(EventKind.TOOL_CALL, tenant, **of, model=start.model, **facts)

    return published


def called(
    dispatcher: Dispatcher | None, tenant: str, start: Start, calls: Callable[[], Sequence[AnyToolCall] | None]
) -> None:
    """Make known which tools of its client an answer calls."""
    if dispatcher is None or not dispatcher.listeners(EventKind.TOOL_CALL):
        return
    for call in calls() or ():
        tool = call.custom.name if isinstance(call, CustomToolCall) else call.function.name
        of = {"run": start.run, "conversation": start.conversation, "model": start.model}
        dispatcher.emit(EventKind.TOOL_CALL, tenant, **of, tool=tool, server=None)


def ended(dispatcher: Dispatcher | None, tenant: str, start: Start, consumer: Consumer, end: Terminal) -> None:
    """Make known how a run has ended: `outcome` is `complete`, or the code of its error."""
    if dispatcher is None or not dispatcher.listeners(EventKind.STREAM_COMPLETE):
        return
    facts = _of(start, consumer)
    if (usage := end.usage) is not None:
        cost = None if usage.cost_usd is None else str(usage.cost_usd)
        facts |= {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens, "cost_usd": cost}
    if isinstance(end, Complete):
        facts |= {"outcome": "complete", "finish_reason": end.finish_reason, "provider": end.provider}
        facts |= {"upstream_model": end.upstream_model, "latency_ms": end.latency_ms}
    else:
        facts |= {"outcome": str(end.code), "partial_saved": end.partial_saved}
    dispatcher.emit(EventKind.STREAM_COMPLETE, tenant, **facts)


def _of(start: Start, consumer: Consumer) -> dict[str, object]:
    found = {
        "run": start.run,
        "model": start.model,
        "conversation": start.conversation,
        "user": consumer.user or None,
        "key": consumer.key or None,
    }
    return {name: value for name, value in found.items() if value is not None}
