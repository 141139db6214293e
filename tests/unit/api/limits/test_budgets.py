"""Budgets as clients meet them, and their sums held to a simple oracle: what has passed never exceeds the budget."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatfleet_api.chat.limits import Share, reserved
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Usage
from chatfleet_api.domain.principal import Principal
from chatfleet_api.domain.quota import Demand
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.limits.buckets import KEEP_SUMS, Buckets
from chatfleet_api.limits.budgets import Asked, budget_demands, nanodollars, spent, zone_of
from chatfleet_api.limits.verdict import SECOND
from chatfleet_api.providers.provider import Finish, StreamItem
from chatfleet_api.usage.price_book import PriceBook
from chatfleet_contract import metrics
from chatfleet_contract.runtime import RuntimeConfig
from chatfleet_contract.spec import Limits
from chatfleet_contract.spec.limits import Budget, Budgets, Limit
from chatfleet_contract.spec.pricing import Pricing
from harness.clients.asgi import Exchange, ask, asking, get, post
from harness.pods.api_pod import Pod
from harness.pods.runs import STOP, FakeProvider, OneModel, text

pytestmark = pytest.mark.looptime

CHAT = "/v1/chat/completions"
HI: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
VERSION = {"anthropic-version": "2026-10-21"}
PRICES = Pricing(input_per_million_tokens="1", output_per_million_tokens="10")
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def budgeted(*pieces: float | Sequence[StreamItem] | ChatError, priced: bool = True, **fields: str | int) -> Pod:
    """Return a pod whose tenants have a budget, and a model at 1 and 10 USD for a million tokens."""
    pod = Pod(FakeProvider(*pieces))
    pod.now = NOON
    budget(pod, **fields)
    if priced:
        current = pod.configuration.current
        models = tuple(model.model_copy(update={"name": "m", "pricing": PRICES}) for model in current.models)
        pod.configuration.replace(current.model_copy(update={"models": models}))
    return pod


def budget(pod: Pod, **fields: str | int) -> None:
    pod.change("limits", budgets=Budgets(per_tenant=Budget(**fields)))  # type: ignore[arg-type]


def usage(inputs: int, outputs: int) -> list[StreamItem]:
    return [Finish("stop", Usage(input_tokens=inputs, output_tokens=outputs))]


async def asked(pod: Pod, path: str = CHAT, **body: object) -> Exchange:
    request = post(path, {**HI, "max_tokens": 1000, **body}, **VERSION)
    await ask(pod.app, request)
    return request


async def test_a_request_for_which_too_little_is_left_is_refused_until_the_budget_resets() -> None:
    pod = budgeted(text("a"), usage(1000, 900), usd_per_day="0.02")
    assert [(await asked(pod)).status for _ in range(2)] == [200, 429]  # 0.010001 USD reserved, 0.01 used
    refused = await asked(pod)
    assert refused.headers["x-should-retry"] == "false"
    assert "retry-after" not in refused.headers
    error = refused.json()["error"]
    assert error["code"] == "budget_exhausted"
    assert error["message"] == (
        "The budget of the tenant, 0.02 USD per day, has 0.01 USD left, and the request may use 0.010001 USD."
        " It resets at 2026-02-01T00:00:00Z."
    )
    pod.now = datetime(2026, 2, 1, tzinfo=UTC)
    assert (await asked(pod)).status == 200


async def test_all_tenants_share_the_budget_of_the_chatdeployment_and_see_nothing_of_what_others_spend() -> None:
    pod = budgeted(text("a"), usage(1, 899), tokens_per_day=1_000_000)
    pod.change("limits", budget=Budget(tokens_per_day=1900), budgets=None)
    assert (pod.limiter.fleet_budget_used(), pod.health.report().budget_used) == (None, None)
    acme, other = Principal("acme", "key"), Principal("other", "key")

    async def take(caller: Principal, tokens: int) -> None:
        held, _ = await pod.limiter.reserve(caller, "m", lambda: tokens, tokens) or pytest.fail("no limit")
        await pod.limiter.settle(caller.tenant, held, Usage(output_tokens=tokens))

    await take(acme, 1520)
    assert pod.health.report().budget_used == 0.8
    with pytest.raises(ChatError) as refused:
        await take(other, 381)
    assert refused.value.message == (
        "The budget of the ChatDeployment for this day has too little left for the request."
        " It resets at 2026-02-01T00:00:00Z."
    )
    await take(other, 380)
    assert pod.health.report().budget_used == 1
    pod.change("limits", budget=Budget(tokens_per_day=9000))
    assert pod.health.report().budget_used is None
    await take(other, 1)
    assert pod.health.report().budget_used == pytest.approx(1901 / 9000)
    pod.change("limits", budget=Budget(usd_per_month="1000"))
    await take(other, 1)
    assert pod.health.report().budget_used == pytest.approx(1e-8)


def degrading(*pieces: float | Sequence[StreamItem]) -> Pod:
    """Return a pod with a second model, `cheap`, at a hundredth of the price of `m`."""
    pod = budgeted(*pieces)
    current = pod.configuration.current
    less = Pricing(input_per_million_tokens="0.01", output_per_million_tokens="0.1")
    cheap = current.models[0].model_copy(update={"name": "cheap", "pricing": less})
    pod.configuration.replace(current.model_copy(update={"models": (*current.models, cheap)}))
    catalogue = pod.chat.catalogue()
    assert isinstance(catalogue, OneModel)
    catalogue.names = ("m", "cheap")
    own = Budget(usd_per_day="0.0202", on_exhausted="degrade", degrade_to="cheap")
    pod.change("limits", budgets=Budgets(per_tenant=own))
    return pod


async def test_a_cheaper_model_answers_when_the_budget_is_exhausted_and_within_it() -> None:
    pod = degrading(text("a"), usage(0, 1000))
    answers = [await asked(pod) for _ in range(4)]  # 0.01 USD each, or 0.0001
    assert [(each.status, each.json().get("model")) for each in answers] == [
        (200, "m"),
        (200, "m"),
        (200, "cheap"),
        (429, None),
    ]
    assert answers[-1].json()["error"]["code"] == "budget_exhausted"
    created = post("/api/v1/conversations", {})
    await ask(pod.app, created)
    pod.now = datetime(2026, 2, 1, 12, tzinfo=UTC)
    path = f"/api/v1/conversations/{created.json()['id']}/messages"
    for expected in ("m", "m", "cheap"):
        message = post(path, {"content": "Hi", "model": "m", "max_tokens": 1000})
        await ask(pod.app, message)
        assert message.status == 200
        listed = await ask(pod.app, get(path))
        assert listed.json()["messages"][-1]["model"] == expected


async def test_no_model_answers_instead_that_the_key_may_not_use() -> None:
    pod = degrading(text("a"), usage(0, 1000))
    limited = Principal("acme", "key", models=frozenset({"m"}))
    request = ChatRequest("m", (Message("user", "Hi"),), max_tokens=1900)
    first = await reserved(pod.limiter, limited, request, max_tokens=lambda _: None)
    assert first.request.model == "m"
    with pytest.raises(ChatError, match="budget_exhausted"):
        await reserved(pod.limiter, limited, request, max_tokens=lambda _: None)
    first.__exit__(None, None, None)


async def test_a_limit_of_requests_is_no_reason_for_another_model() -> None:
    pod = degrading(text("a"), usage(0, 1))
    pod.change("limits", per_tenant=Limit(requests_per_minute=1))
    assert [(await asked(pod)).status for _ in range(2)] == [200, 429]


async def test_an_answer_without_a_maximum_reserves_a_configured_number_of_tokens() -> None:
    pod = budgeted(text("a"), usage(0, 0), tokens_per_day=1000)
    assert (await asked(pod, max_tokens=None)).status == 429
    pod.change("limits", reserve_tokens=999)
    assert (await asked(pod, max_tokens=None)).status == 200
    pod.change("limits", reserve_tokens=1000)
    assert (await asked(pod, max_tokens=None)).status == 429


@pytest.mark.parametrize(
    ("zone", "now", "day", "hours"),
    [
        ("UTC", datetime(2026, 3, 28, 23, 30, tzinfo=UTC), "2026-03-28", 0.5),
        ("Europe/Berlin", datetime(2026, 3, 28, 23, 30, tzinfo=UTC), "2026-03-29", 22.5),  # clocks go forward
        ("Europe/Berlin", datetime(2026, 10, 24, 22, 0, tzinfo=UTC), "2026-10-25", 25),  # and back
        ("America/Los_Angeles", datetime(2026, 2, 1, 7, 0, tzinfo=UTC), "2026-01-31", 1),
    ],
)
def test_a_day_is_one_of_the_time_zone(zone: str, now: datetime, day: str, hours: float) -> None:
    limits = Limits(budget=Budget(tokens_per_day=1, usd_per_month="1"), time_zone=zone)
    found = budget_demands(limits, Principal("acme"), Asked("dear", 1, 1), PRICED, now)
    assert (found[0].meter, found[0].interval) == (f"deployment:daily:{day}", hours * 3600 * SECOND)
    assert found[1].meter == f"deployment:usd:{day[:7]}"


def test_a_time_zone_that_a_pod_does_not_have_is_utc(caplog: pytest.LogCaptureFixture) -> None:
    assert zone_of("Europe/Atlantis") is UTC
    assert "Europe/Atlantis" in caplog.text


async def test_anthropics_clients_get_the_code_that_they_know() -> None:
    pod = budgeted(text("a"), [STOP], tokens_per_day=500)
    refused = await asked(pod, "/v1/messages")
    assert (refused.status, refused.json()["error"]["type"]) == (429, "rate_limit_error")
    assert refused.json()["error"]["details"]["error_code"] == "enforced_spend_limit_reached"


async def test_the_answers_that_are_under_way_count_with_the_most_that_they_may_use() -> None:
    pod = budgeted(text("a"), 10.0, usage(1, 9), tokens_per_day=1500)
    first = post(CHAT, {**HI, "stream": True, "max_tokens": 1000})
    async with asking(pod.app, first) as answering:
        await first.until(b'"content":"a"')
        assert (await asked(pod)).status == 429
        await answering
    assert (await asked(pod)).status == 200


async def test_a_cancelled_answer_costs_what_was_written_of_it() -> None:
    pod = budgeted(text("word" * 100), 100.0, [STOP], tokens_per_day=2000)
    first = post(CHAT, {**HI, "stream": True, "max_tokens": 1900})
    async with asking(pod.app, first) as answering:
        await first.until(b"word")
        first.left.set()
        await answering
    await pod.pool.idle(1)
    refused = await asked(pod, max_tokens=1899)
    assert "has 1899 tokens left" in refused.json()["error"]["message"]  # an input of 1, and 400 letters
    assert (await asked(pod, max_tokens=1898)).status == 200


async def test_a_model_whose_price_is_not_known_is_refused_where_a_budget_is_in_usd() -> None:
    pod = budgeted(text("a"), [STOP], priced=False, usd_per_month="1000")
    refused = await asked(pod)
    assert (refused.status, refused.json()["error"]["code"]) == (429, "budget_exhausted")
    assert refused.json()["error"]["message"].startswith("The price of model 'm' is not known")
    names = tuple(model.name for model in pod.configuration.current.models)
    assert pod.health.report().unpriced_models == names
    budget(pod, tokens_per_day=5000)
    assert (await asked(pod)).status == 200
    assert pod.health.report().unpriced_models == ()


def test_a_fallback_without_a_price_makes_a_model_unpriced() -> None:
    model = PRICED_MODEL | {"fallbacks": ["free"]}
    free = {"name": "free", "provider": "p", "model": "b"}
    assert book(model, free).unpriced(NOON) == ("cheap", "free")
    assert book(PRICED_MODEL).unpriced(NOON) == ()


async def test_a_change_acts_on_the_next_request_and_keeps_what_was_used() -> None:
    pod = budgeted(text("a"), usage(500, 500), tokens_per_day=1500)
    assert [(await asked(pod)).status for _ in range(2)] == [200, 429]
    budget(pod, tokens_per_day=2500)
    assert [(await asked(pod)).status for _ in range(2)] == [200, 429]


PRICED_MODEL: dict[str, Any] = {"name": "cheap", "provider": "p", "model": "a", "pricing": PRICES.document()}
DEAR_MODEL: dict[str, Any] = {
    "name": "dear",
    "provider": "p",
    "model": "b",
    "pricing": {
        "inputPerMillionTokens": "2",
        "outputPerMillionTokens": "20",
        "cacheWrite1hPerMillionTokens": "4",
        "serviceTiers": [{"name": "flex", "factor": "0.5"}, {"name": "priority", "factor": "3"}],
    },
}


def book(*models: dict[str, Any]) -> PriceBook:
    config = {"deployment": "a", "namespace": "a", "providers": [{"name": "p", "type": "scripted"}]}
    return PriceBook.of(RuntimeConfig.model_validate({**config, "models": models}))


PRICED = book(PRICED_MODEL | {"fallbacks": ["dear"]}, DEAR_MODEL)


def test_the_dearest_fallback_tier_and_cache_write_are_reserved() -> None:
    for model in ("cheap", "dear"):
        assert PRICED.most(model, 1_000_000, 1_000_000, NOON) == Decimal(3 * (4 + 20))
    assert PRICED.most("other", 1, 1, NOON) is None


def test_each_budget_has_the_name_of_its_period_and_the_time_until_its_end() -> None:
    caller = Principal("acme", "key/1", "ada")
    each = Budget(usd_per_day="1", usd_per_month="2", tokens_per_day=3)
    limits = Limits(budget=each, budgets=Budgets(per_tenant=each, per_key=each, per_user=each))
    found = budget_demands(limits, caller, Asked("dear", 10, 20), PRICED, NOON)
    assert {demand.meter for demand in found} == {
        f"{scope}:{period}"
        for scope in ("deployment", "tenant", "key:key%2F1", "user:ada")
        for period in ("daily:2026-01-31", "usd:2026-01-31", "usd:2026-01")
    }
    assert {demand.interval for demand in found} == {12 * 3600 * SECOND}
    assert [demand.cost for demand in found[:2]] == [30, nanodollars(Decimal("0.00132"))]


@pytest.mark.parametrize(
    ("used", "charged"),
    [
        (None, 100),
        (Usage(), 0),
        (Usage(1, 1), 100),
        (Usage(1, 1, cost_usd=Decimal("0.0000000071")), 8),
        (Usage(1, 1, cost_usd=Decimal(0)), 0),
    ],
)
def test_what_an_answer_costs_is_rounded_up_and_unknown_is_what_was_reserved(used: Usage | None, charged: int) -> None:
    assert spent(Demand("tenant:usd:2026-01", "usd", 1000, 1.0, 100), used) == charged


steps = st.lists(st.tuples(st.booleans(), st.integers(0, 60), st.integers(0, 80), st.integers(0, 9)), max_size=60)


@settings(max_examples=60)
@given(limit=st.integers(50, 200), steps=steps)
def test_reserved_and_used_together_are_a_sum_that_passes_what_fits_and_nothing_else(
    limit: int, steps: list[tuple[bool, int, int, int]]
) -> None:
    """The oracle: a number for what has ended, and a list of what is under way."""
    buckets, ended = Buckets(), 0
    running: dict[str, int] = {}
    for number, (begins, cost, used, which) in enumerate(steps):
        if begins or not running:
            demand = Demand("tenant:usd:2026-01-31", "usd", limit, 60.0 * SECOND, cost)
            verdict = buckets.reserve("acme", f"{number}", (demand,), number)
            fits = ended + sum(running.values()) + cost <= limit
            assert (verdict.refused is None) == fits
            if fits:
                running[f"{number}"] = cost
            assert verdict.left[0].remaining == max(limit - ended - sum(running.values()), 0)
        else:
            lease = [*running][which % len(running)]
            del running[lease]
            ended += used
            for _ in range(2):
                buckets.settle("acme", lease, [("tenant:usd:2026-01-31", used)], number)


def test_a_budget_is_forgotten_a_day_after_its_end() -> None:
    buckets, demand = Buckets(), Demand("tenant:daily:2026-01-31", "daily", 10, 60.0 * SECOND, 10)
    buckets.reserve("acme", "a", (demand,), 0)
    buckets.prune(60.0 * SECOND + KEEP_SUMS)
    assert buckets.reserve("acme", "b", (demand,), 0).refused == 0
    buckets.prune(60.0 * SECOND + KEEP_SUMS + 1)
    assert buckets.reserve("acme", "c", (demand,), 0).refused is None


async def test_a_pod_shows_the_share_of_the_budget_that_has_least_left() -> None:
    pod = budgeted(text("a"), usage(100, 0), tokens_per_day=2000)
    pod.meter.gauge(metrics.BUDGET_USED_RATIO, pod.limiter.budget_used)

    def used() -> float:
        return float(pod.meter.exposition().decode().partition("\nchatfleet_budget_used_ratio ")[2].split()[0])

    assert used() == 0
    await asked(pod, max_tokens=999)
    assert used() == 0.5
    await asked(pod, max_tokens=1699)
    assert used() == pytest.approx(0.9)
    assert (await asked(pod, max_tokens=1999)).status == 429
    assert used() == pytest.approx(0.1)
    pod.now = datetime(2026, 1, 31, 23, 59, tzinfo=UTC)
    await asyncio.sleep(12 * 3600 + 1)
    assert used() == 0


async def test_many_requests_at_once_do_not_spend_more_than_the_budget() -> None:
    pod = budgeted(text("a"), 1.0, usage(1, 1000), tokens_per_day=5005)
    found = await asyncio.gather(*(asked(pod) for _ in range(9)))
    assert sorted(each.status for each in found) == [200] * 5 + [429] * 4
    assert Code.BUDGET_EXHAUSTED in {each.json()["error"]["code"] for each in found if each.status != 200}


async def test_each_further_request_to_the_model_reserves_as_much_as_the_first_until_the_answer_is_charged() -> None:
    pod = budgeted(tokens_per_day=2500)
    caller = Principal("acme", "key")
    held, _ = await pod.limiter.reserve(caller, "m", lambda: 1000, 1000) or pytest.fail("no limit")
    share = Share(pod.limiter, "acme", held)
    await share.extend()
    with pytest.raises(ChatError) as refused:
        await share.extend()
    assert refused.value.code is Code.BUDGET_EXHAUSTED
    await share.settle(Usage(output_tokens=1400))
    assert await pod.limiter.reserve(caller, "m", lambda: 1100, 1100)
    with pytest.raises(ChatError):
        await pod.limiter.reserve(caller, "m", lambda: 1, 1)


async def test_the_tokens_of_a_request_are_counted_once_for_all_that_applies() -> None:
    pod = Pod(FakeProvider(text("a")))
    limit, counted = Limit(tokens_per_minute=9000), []
    pod.change("limits", per_tenant=limit, per_user=limit, budgets=Budgets(per_tenant=Budget(tokens_per_day=9000)))

    def tokens() -> int:
        counted.append(1)
        return 100

    assert await pod.limiter.reserve(Principal("acme", "key", user="ann"), "m", tokens, 50)
    assert len(counted) == 1
