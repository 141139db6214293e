"""One pod of the fleet makes a budget known, once for its period, on every topology of Redis and with its real pods."""

from collections.abc import AsyncIterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from uuid_utils import uuid7

from chatfleet_api.domain.dispatch import Dispatcher, EventKind
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.limits.warnings import NearlyExhausted, warn
from chatfleet_api.pod import warnings
from chatfleet_api.redis.client import RedisClient, open_redis
from chatfleet_api.webhooks.event import Notice
from chatfleet_api.webhooks.queue import WebhookQueue
from chatfleet_contract.names import ENV_POD_NAME
from chatfleet_contract.runtime import RuntimeWebhook
from chatfleet_contract.spec import Limits
from chatfleet_contract.spec.limits import Budget, Budgets
from chatfleet_contract.spec.webhooks import WebhookEvent
from harness.net import LOOPBACK_EGRESS
from harness.pods.api_process import api_process, fetch, scripted
from harness.polling import eventually, remains
from harness.receiver import receiving
from harness.redis.topologies import RESTRICTED, TOPOLOGIES, Topologies

NOTICE = Notice("msg_1", "budget:1", [("crm", '{"at": "", "body": "{}"}')])
SECRET = "whsec_" + "A" * 43 + "="


@pytest.fixture(params=[*TOPOLOGIES, *RESTRICTED])
async def redis_client(request: pytest.FixtureRequest, topologies: Topologies) -> AsyncIterator[RedisClient]:
    async with open_redis(topologies(request.param), "tests", f"budgets-{uuid7()}") as client:
        yield client


async def queued(client: RedisClient) -> list[str]:
    return [each.id for each in (await WebhookQueue(client, "crm", "one").look()).first]


async def test_one_of_several_pods_makes_a_budget_known_and_a_repeat_changes_nothing(redis_client: RedisClient) -> None:
    budget = NearlyExhausted("shop", "tenant:usd:2026-01", "usd", 100, 90, 60.0)
    assert [await warn(redis_client, budget, owner, NOTICE) for owner in ("one", "one", "two")] == [True, True, False]
    assert await queued(redis_client) == ["msg_1"]
    for other in (budget._replace(tenant="other"), budget._replace(limit=200)):
        assert await warn(redis_client, other, "two", None)
    assert await queued(redis_client) == ["msg_1"]


async def test_a_budget_that_was_forgotten_is_not_made_known_again_and_one_with_a_lost_reply_is(
    redis_client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget, lost = NearlyExhausted("shop", "tenant:usd:2026-01", "usd", 100, 90, 60.0), True

    async def warn_without_reply(redis: RedisClient, seen: NearlyExhausted, name: str, notice: Notice | None) -> bool:
        nonlocal lost
        found, lost_now, lost = await warn(redis, seen, name, notice), lost, False
        if lost_now:
            raise ChatError(Code.STORAGE_UNAVAILABLE)
        return found

    def now() -> datetime:
        return datetime(2026, 1, 2, tzinfo=UTC)

    monkeypatch.setattr(warnings, "warn", warn_without_reply)
    monkeypatch.setattr(warnings, "MOST", 1)
    dispatcher = Dispatcher("one", now=now, dropped=lambda _: None)
    seen = warnings.BudgetWarnings(redis_client, None, dispatcher, owner="one", now=now)
    with dispatcher.listening("test", [EventKind.BUDGET_WARNING]) as listener:
        async with seen.writing():
            for each in (budget, budget._replace(tenant="other"), budget):
                seen.see(each)
                seen.see(each)
            assert [(await listener.next()).tenant for _ in range(2)] == ["shop", "other"]
        assert listener.waiting(1) == []


@pytest.mark.feature(43)
def test_of_all_pods_one_sends_one_event_for_a_budget(tmp_path: Path, redis_url: str) -> None:
    (tmp_path / "redis").write_text(redis_url)
    (tmp_path / "signing").mkdir()
    (tmp_path / "signing" / "first").write_text(SECRET)
    budgets = Budgets(per_tenant=Budget(tokens_per_day=400))
    with receiving() as receiver, ExitStack() as stack:
        hook = RuntimeWebhook(
            name="crm", url=receiver.url, events=tuple(WebhookEvent), secrets_folder=str(tmp_path / "signing")
        )
        fields = {
            "redis_url_file": str(tmp_path / "redis"),
            "webhooks": (hook,),
            "egress": LOOPBACK_EGRESS,
            "limits": Limits(budgets=budgets, reserve_tokens=1),
        }
        config = scripted("echo").model_copy(update=fields)
        pods = [
            stack.enter_context(api_process(tmp_path, config, at=None, **{ENV_POD_NAME: name}))
            for name in ("one", "two")
        ]
        asked = {"model": "echo", "max_tokens": 40, "messages": [{"role": "user", "content": "Hi"}]}

        def is_exhausted() -> bool:
            return {fetch(f"{pod.url}/v1/chat/completions", asked).status for pod in pods} == {429}

        eventually(is_exhausted, every=0)
        eventually(lambda: len(receiver.accepted) == 1)
        remains(lambda: len(receiver.got) == 1, seconds=0.5, every=0.1)
        [got] = receiver.accepted
    event = got.event
    assert event["type"] == "budget_warning"
    shown = {name: event["data"][name] for name in ("tenant", "scope", "name", "unit", "limit")}
    assert shown == {"tenant": "default", "scope": "tenant", "name": None, "unit": "tokens", "limit": 400}
    assert 320 <= event["data"]["used"] <= 400
