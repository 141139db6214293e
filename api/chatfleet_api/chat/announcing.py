"""Events for webhooks: how a run has ended, and that a user has given feedback."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from chatfleet_api.chat.history import stamp
from chatfleet_api.domain.errors import FACTS, ChatError, Code
from chatfleet_api.domain.events import Complete, Failed, Start, Terminal, Usage
from chatfleet_api.runs.run import Run
from chatfleet_api.sessions.feedback import Feedback
from chatfleet_api.usage.record import Consumer
from chatfleet_api.webhooks.event import HookEvent, Notice, bounded, owner_of
from chatfleet_contract.spec.webhooks import WebhookEvent

UNEXPECTED: Final = Failed.of(ChatError(Code.INTERRUPTED))
"""The end of a run whose producer could not announce another one."""


class Ended(NamedTuple):
    """A run that ends."""

    start: Start
    consumer: Consumer
    end: Terminal
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Announcer:
    """Announces the ends of runs that are logged: the step that stores an end queues its event."""

    has_webhooks: Callable[[], bool]
    notice: Callable[[HookEvent], Notice | None]
    """Returns what is queued; None: no webhook wants the event."""
    now: Callable[[], datetime]
    """The time of day, with zone UTC."""

    def announce(self, run: Run, ended: Ended) -> None:
        """Give a run the notice of an end that is published next."""
        announced = run.logged and self.has_webhooks()
        event = event_of(run.tenant, ended, at=stamp(self.now())) if announced else None
        run.notice = None if event is None else self.notice(event)


def event_of(tenant: str, ended: Ended, *, at: str) -> HookEvent | None:
    """Return the event of a run that has ended; None: a client has cancelled it."""
    start, end = ended.start, ended.end
    status = "complete" if isinstance(end, Complete) else FACTS[end.code].outcome
    if status == "cancelled":
        return None
    data = {
        "tenant": tenant,
        "user_id": ended.consumer.user or None,
        "conversation_id": start.conversation,
        "message_id": start.message,
        "run": start.run,
        "model": start.model,
        "status": status,
        "finish_reason": end.finish_reason if isinstance(end, Complete) else None,
        "error_code": None if isinstance(end, Complete) else end.code.value,
        "partial_saved": isinstance(end, Complete) or end.partial_saved,
        **_usage(end.usage),
    }
    kind = WebhookEvent.STREAM_COMPLETE if isinstance(end, Complete) else WebhookEvent.RUN_INTERRUPTED
    group = start.conversation or start.run
    owner = owner_of(tenant, ended.consumer.user) if ended.consumer.user else ""
    return HookEvent(f"msg_{start.run}", kind, group, at, data, bounded(ended.text), owner)


def given(ident: str, tenant: str, conversation: str, feedback: Feedback) -> HookEvent:
    """Return the event of feedback."""
    data = {
        "tenant": tenant,
        "user_id": feedback.user,
        "conversation_id": conversation,
        "message_id": feedback.message,
        "thumb": feedback.thumb,
        "rating": feedback.rating,
        "created_at": feedback.created_at,
    }
    content = {"comment": feedback.comment}
    return HookEvent(f"msg_{ident}", WebhookEvent.FEEDBACK, conversation, feedback.updated_at, data, content)


def _usage(usage: Usage | None) -> Mapping[str, Any]:
    if usage is None:
        return {"usage": None, "cost_usd": None}
    counted = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "estimated": usage.estimated,
    }
    return {"usage": counted, "cost_usd": None if usage.cost_usd is None else f"{usage.cost_usd:f}"}
