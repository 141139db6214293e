"""The identity of a request whose credential is known costs less CPU than is promised."""

import pytest

from chatfleet_lab.bench.identity import LIMIT_MICROSECONDS, measure


@pytest.mark.timed
async def test_a_known_credential_costs_little() -> None:
    found = await measure(requests=500, rounds=3)

    assert found.keys() == {"API key", "token"}
    assert all(0 < microseconds <= LIMIT_MICROSECONDS for microseconds in found.values()), found
