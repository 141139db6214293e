"""Limits and a budget that a Secret gives to one API key: beside those of each key, the smaller applies."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from chatfleet_api.domain.events import Usage
from chatfleet_api.domain.key_limits import KeyLimits
from chatfleet_api.limits.plan import Plan
from chatfleet_api.limits.terms import with_own
from chatfleet_api.providers.provider import Finish
from chatfleet_contract.runtime import RuntimeKeys
from chatfleet_contract.spec import Limits, OnRevoke
from chatfleet_contract.spec.limits import Budget, Budgets, Burst, Limit
from harness.clients.asgi import Exchange, ask, asking, post
from harness.pods.api_pod import Pod
from harness.pods.runs import FakeProvider, text

pytestmark = pytest.mark.looptime

CHAT: Final = "/v1/chat/completions"
HI: Final[dict[str, Any]] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 99}
Set = Callable[..., None]
"""Writes the value of a key with these fields, as when its Secret changes."""


def key_of(name: str) -> str:
    return f"sk-chat-{name:-<40}"


@pytest.fixture
async def pod(tmp_path: Path) -> Pod:
    pod = Pod(FakeProvider(text("a"), 1.0, [Finish("stop", Usage(input_tokens=100, output_tokens=100))]))
    keys = (RuntimeKeys(tenant="shop", folder=str(tmp_path)),)
    pod.change("access", anonymous=False, api_keys=keys, on_revoke=OnRevoke.CUT)
    return pod


@pytest.fixture
def set_key(pod: Pod, tmp_path: Path) -> Set:
    def write(name: str, **own: object) -> None:
        (tmp_path / name).write_text(json.dumps({"key": key_of(name), **own}))
        pod.refresh_keys()

    return write


async def asked(pod: Pod, name: str = "web") -> Exchange:
    return await ask(pod.app, post(CHAT, HI, **{"x-api-key": key_of(name)}))


async def statuses(pod: Pod, count: int, name: str = "web") -> list[int]:
    return [(await asked(pod, name)).status for _ in range(count)]


async def test_a_key_has_a_limit_of_its_own_where_the_chatdeployment_has_none(pod: Pod, set_key: Set) -> None:
    set_key("web", requestsPerMinute=2)
    set_key("other")
    assert await statuses(pod, 2) == [200, 200]
    refused = await asked(pod)
    assert (refused.status, refused.headers["x-ratelimit-limit-requests"]) == (429, "2")
    assert refused.json()["error"]["message"] == "The limit of the API key is reached: 2 requests per minute."
    assert await statuses(pod, 4, "other") == [200] * 4


@pytest.mark.parametrize(("per_key", "own", "passed"), [(3, 2, 2), (2, 3, 2)])
async def test_the_smaller_of_both_limits_applies(pod: Pod, set_key: Set, per_key: int, own: int, passed: int) -> None:
    pod.change("limits", per_key=Limit(requests_per_minute=per_key))
    set_key("web", requestsPerMinute=own)
    assert await statuses(pod, 4) == [200] * passed + [429] * (4 - passed)


async def test_the_budget_of_a_key_is_hard_and_counts_also_without_one_in_the_chatdeployment(
    pod: Pod, set_key: Set
) -> None:
    set_key("web", budget={"tokensPerDay": 400})
    assert await statuses(pod, 3) == [200, 200, 429]
    refused = await asked(pod)
    assert refused.json()["error"]["code"] == "budget_exhausted"
    assert "The budget of the API key, 400 tokens per day, has 0 tokens left" in refused.json()["error"]["message"]
    assert pod.limiter.budget_used() == 1


async def test_a_budget_in_usd_of_a_key_refuses_a_model_without_a_price_and_the_pod_reports_it(
    pod: Pod, set_key: Set
) -> None:
    assert pod.health.report().unpriced_models == ()
    set_key("web", budget={"usdPerMonth": "100"})
    refused = await asked(pod)
    assert refused.json()["error"]["message"].startswith("The price of model 'm' is not known")
    assert pod.health.report().unpriced_models


async def test_a_change_acts_on_the_next_request_and_keeps_the_streams_of_the_key(pod: Pod, set_key: Set) -> None:
    set_key("web", budget={"tokensPerDay": 150})
    streaming = post(CHAT, {**HI, "stream": True}, **{"x-api-key": key_of("web")})
    async with asking(pod.app, streaming) as answering:
        await streaming.until(b'"content":"a"')
        assert await statuses(pod, 1) == [429]
        set_key("web", budget={"tokensPerDay": 499})
        await answering
        assert b"[DONE]" in streaming.body
        assert await statuses(pod, 2) == [200, 429]  # what was used stays used
    set_key("web")
    assert await statuses(pod, 3) == [200] * 3


async def test_malformed_limits_are_reported_and_the_key_is_refused(pod: Pod, set_key: Set, tmp_path: Path) -> None:
    set_key("web", requestsPerMinute=10)
    assert await statuses(pod, 1) == [200]
    set_key("web", requestsPerMinute="many")
    assert await statuses(pod, 1) == [401]
    assert pod.health.report().access_errors == (
        f"key web of Secret {tmp_path.name}: its requestsPerMinute must be a whole number from 1 to 1,000,000",
    )
    set_key("web", requestsPerMinute=10)
    assert (await statuses(pod, 1), pod.health.report().access_errors) == ([200], ())


def test_of_each_number_the_smaller_applies_and_the_rest_of_the_chatdeployments_stays() -> None:
    limits = Limits(
        per_tenant=Limit(requests_per_minute=9),
        per_key=Limit(requests_per_minute=300, burst=Burst(requests=50), concurrent_streams=4),
        budgets=Budgets(per_key=Budget(usd_per_day="10", on_exhausted="degrade", degrade_to="small")),
    )
    own = KeyLimits(Limit(requests_per_minute=100, tokens_per_minute=7), Budget(usd_per_day="9.99", tokens_per_day=5))
    both = with_own(limits, own)

    assert both.per_tenant == limits.per_tenant
    assert both.per_key == Limit(
        requests_per_minute=100, tokens_per_minute=7, concurrent_streams=4, burst=Burst(requests=50, tokens=7)
    )
    assert both.budgets == Budgets(
        per_key=Budget(usd_per_day="9.99", tokens_per_day=5, on_exhausted="degrade", degrade_to="small")
    )
    assert with_own(limits, KeyLimits()) == limits


@pytest.mark.parametrize("own", [10, 100, 299])
def test_a_burst_never_exceeds_twice_the_smaller_rate(own: int) -> None:
    limits = Limits(per_key=Limit(requests_per_minute=300, burst=Burst(requests=600)))
    plan = Plan(with_own(limits, KeyLimits(Limit(requests_per_minute=own))))
    assert plan.limits.per_key
    assert plan.limits.per_key.burst
    assert (plan.limits.per_key.burst.requests or 0) <= own
