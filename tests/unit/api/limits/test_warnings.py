"""A budget is nearly exhausted from 80 % on, and what is made known of it names whose it is and for how long."""

import pytest

from chatfleet_api.domain.quota import Demand, Unit
from chatfleet_api.limits.verdict import SECOND, Left
from chatfleet_api.limits.warnings import NearlyExhausted, nearly_exhausted
from chatfleet_api.pod.warnings import event_of, facts_of

DAY = 3600.0 * SECOND


def near(meter: str, used: int, limit: int = 100) -> NearlyExhausted | None:
    unit: Unit = "usd" if ":usd:" in meter else "daily"
    found = nearly_exhausted("shop", [Demand(meter, unit, limit, DAY, 1)], [Left(limit - used, DAY)])
    return found[0] if found else None


@pytest.mark.parametrize(("used", "limit", "is_near"), [(79, 100, False), (80, 100, True), (4, 5, True), (0, 0, False)])
def test_a_budget_is_nearly_exhausted_from_80_percent_on(used: int, limit: int, *, is_near: bool) -> None:
    assert (near("tenant:daily:2026-01-02", used, limit) is not None) is is_near


def test_limits_are_no_budgets() -> None:
    assert not nearly_exhausted("shop", [Demand("tenant:requests", "requests", 10, 1.0, 1)], [Left(0, 1.0)])


@pytest.mark.parametrize(
    ("meter", "scope", "name", "period", "tenant"),
    [
        ("deployment:usd:2026-01", "deployment", None, "2026-01", ""),
        ("tenant:daily:2026-01-02", "tenant", None, "2026-01-02", "shop"),
        ("key:key%3Aweb:usd:2026-01-02", "key", "key:web", "2026-01-02", "shop"),
        ("user:ann%20b:daily:2026-01-02", "user", "ann b", "2026-01-02", "shop"),
    ],
)
def test_whose_budget_it_is(meter: str, scope: str, name: str | None, period: str, tenant: str) -> None:
    budget = near(meter, 90)
    assert budget is not None
    assert (budget.scope, budget.name, budget.period, budget.tenant) == (scope, name, period, tenant)


def test_amounts_are_those_of_the_configuration_and_another_limit_is_another_budget() -> None:
    budget, raised = near("tenant:usd:2026-01", 850_000_000, 1_000_000_000), near("tenant:usd:2026-01", 9, 10)
    assert budget is not None
    assert raised is not None
    facts = facts_of(budget)
    assert facts == {
        "scope": "tenant",
        "name": None,
        "unit": "usd",
        "period": "2026-01",
        "limit": "1",
        "used": "0.85",
    }
    events = [event_of(each, facts_of(each), "") for each in (budget, budget, raised)]
    assert (events[0].data["tenant"], events[0].id == events[1].id, events[0].id == events[2].id) == (
        *("shop", True, False),
    )
