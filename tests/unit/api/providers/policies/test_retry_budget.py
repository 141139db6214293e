"""Retries are a share of the requests, beyond a small floor that comes back with time."""

import pytest

from chatfleet_api.providers.policies.retry_budget import MIN_RETRIES, RATIO, REFILL_SECONDS, RetryBudget


def test_a_fifth_of_the_requests_may_be_retries_beyond_a_small_floor() -> None:
    budget = RetryBudget(lambda: 0.0)
    spent = 0
    for _ in range(1000):
        budget.deposit()
        spent += budget.withdraw()
    assert spent == pytest.approx(RATIO * 1000 + MIN_RETRIES, abs=1)


def test_the_floor_comes_back_with_time() -> None:
    now = 0.0
    budget = RetryBudget(lambda: now)
    while budget.withdraw():
        pass
    now += REFILL_SECONDS / MIN_RETRIES
    assert [budget.withdraw(), budget.withdraw()] == [True, False]
