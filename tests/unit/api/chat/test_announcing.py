"""The events of answers that end."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from chatfleet_api.chat.announcing import Ended, event_of
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Complete, Failed, Start, Terminal, Usage
from chatfleet_api.usage.record import Consumer
from chatfleet_api.webhooks.event import MAX_CONTENT, Held, HookEvent, QueuedEvent, notice_of
from chatfleet_contract.runtime import RuntimeWebhook
from chatfleet_contract.spec.webhooks import WebhookEvent

WHOLE = Complete("stop", Usage(3, 2, cost_usd=Decimal("0.0001")))
START = Start("run", "m", 0, "conversation", "message")


def event(end: Terminal, start: Start = START, text: str = "hi") -> HookEvent | None:
    return event_of("shop", Ended(start, Consumer("ann", "key"), end, text), at="2026-01-02T00:00:00.000Z")


def failed(code: Code) -> Failed:
    return Failed.of(ChatError(code))


def body(
    made: HookEvent | None, *, content: bool = False, events: tuple[WebhookEvent, ...] = tuple(WebhookEvent)
) -> Any:  # noqa: ANN401  # JSON
    """Return what a webhook gets; None: nothing."""
    assert made is not None
    hook = RuntimeWebhook(name="crm", url="https://a.example", events=events, secrets_folder="/x", content=content)
    notice = notice_of(made, [hook], account="shop/support")
    if notice is None:
        return None
    [(name, queued)] = notice.entries
    assert (name, notice.id, notice.group) == ("crm", made.id, made.group)
    return msgspec.json.decode(msgspec.json.decode(queued, type=QueuedEvent).body)


def test_a_whole_answer_has_an_event_with_its_usage_and_without_its_text() -> None:
    assert body(event(WHOLE)) == {
        "type": "stream_complete",
        "timestamp": "2026-01-02T00:00:00.000Z",
        "data": {
            "chatdeployment": "shop/support",
            "tenant": "shop",
            "user_id": "ann",
            "conversation_id": "conversation",
            "message_id": "message",
            "run": "run",
            "model": "m",
            "status": "complete",
            "finish_reason": "stop",
            "error_code": None,
            "partial_saved": True,
            "usage": {
                "input_tokens": 3,
                "output_tokens": 2,
                "reasoning_tokens": 0,
                "cache_read_tokens": 0,
                "cache_write_tokens": 0,
                "estimated": False,
            },
            "cost_usd": "0.0001",
        },
    }


@pytest.mark.parametrize(("code", "status"), [(Code.UPSTREAM_TRUNCATED, "failed"), (Code.INTERRUPTED, "interrupted")])
def test_an_answer_that_ends_with_an_error_has_another_event(code: Code, status: str) -> None:
    made = body(event(failed(code)))
    assert made["type"] == "run_interrupted"
    assert (made["data"]["status"], made["data"]["error_code"]) == (status, code)


def test_a_cancelled_answer_has_no_event() -> None:
    assert event(failed(Code.CANCELLED)) is None


def test_content_is_bounded_and_sent_only_where_it_is_asked_for() -> None:
    made = event(WHOLE, text="x" * (MAX_CONTENT + 1))
    assert "content" not in body(made)["data"]
    data = body(made, content=True)["data"]
    assert (len(data["content"]), data["content_truncated"]) == (MAX_CONTENT, True)


def test_a_webhook_gets_only_the_events_that_it_names() -> None:
    assert body(event(WHOLE), events=(WebhookEvent.FEEDBACK,)) is None


def held(made: HookEvent | None, *, left: bool) -> Held | None:
    assert made is not None
    hooks = [
        RuntimeWebhook(name=name, url="https://a.example", events=events, secrets_folder="/x")
        for name, events in (("both", tuple(WebhookEvent)), ("ends", (WebhookEvent.STREAM_COMPLETE,)))
    ]
    notice = notice_of(made, hooks, account="shop/support", left=left)
    return None if notice is None else notice.held


def test_the_end_of_an_answer_is_held_for_webhooks_of_inactive_users_if_its_user_has_left() -> None:
    waiting = held(event(WHOLE), left=True)
    assert waiting is not None
    [(name, seconds, queued)] = waiting.entries
    assert (waiting.owner, name, seconds) == ("shop/ann", "both", 300)
    found = msgspec.json.decode(msgspec.json.decode(queued, type=QueuedEvent).body)
    assert found == {**body(event(WHOLE)), "type": "user_inactive"}
    assert held(event(WHOLE), left=False) is None
    assert held(event_of("shop", Ended(START, Consumer("", "key"), WHOLE), at=""), left=True) is None


def test_the_id_of_the_event_of_a_run_is_the_same_on_every_pod() -> None:
    first, second = event(WHOLE), event(failed(Code.INTERRUPTED))
    assert first is not None
    assert second is not None
    assert first.id == second.id == "msg_run"
