"""Usage: the tokens of several attempts together, and their price."""

from decimal import Decimal

import pytest

from chatfleet_api.domain.events import Usage

CENT = Decimal("0.01")


def test_usage_adds_up() -> None:
    total = Usage(1, 2, 1, 1, 0) + Usage(3, 4, 2, 0, 1, estimated=True)
    assert total == Usage(4, 6, 3, 1, 1, estimated=True)


@pytest.mark.parametrize(("first", "second", "total"), [(CENT, CENT, 2 * CENT), (CENT, None, None), (None, None, None)])
def test_a_total_is_priced_when_all_of_it_is(first: Decimal | None, second: Decimal | None, total: Decimal) -> None:
    assert (Usage(cost_usd=first) + Usage(cost_usd=second)).cost_usd == total
