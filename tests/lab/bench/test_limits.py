"""The limits of a request take less CPU than Redis' client takes for their two commands."""

import pytest

from chatfleet_lab.bench.limits import LIMITS, measure


@pytest.mark.timed
async def test_limits_and_a_budget_take_little_beside_redis_client() -> None:
    found = await measure(requests=150, rounds=5)

    assert found.keys() == LIMITS.keys()
    assert all(cost.limits < cost.bare / 2 for cost in found.values()), found  # mostly a fifth
    assert all(cost.whole < 3 * cost.bare for cost in found.values()), found  # mostly 1.5
