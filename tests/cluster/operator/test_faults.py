"""Rows of the fault matrix that need no kubelet, with real controllers: reported and healed."""

from collections.abc import Iterator

import pytest

from chatfleet_lab.faults.driver import Driver
from chatfleet_lab.faults.fault import LIMIT_SECONDS
from chatfleet_lab.faults.place import api_server
from chatfleet_lab.faults.rows.all import SHORT

PATIENCE = 4
"""All faults begin at once here, beside other tests; docs/measurements/reliability.md has what they take."""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def driver() -> Iterator[Driver]:
    with api_server(at_once=len(SHORT)) as driver:
        yield driver


async def test_every_fault_is_reported_and_healed(driver: Driver) -> None:
    measured = await driver.play(SHORT)
    late = [each for each in measured if not each.within(PATIENCE * LIMIT_SECONDS)]
    assert not late, "\n".join(f"{each.name}: {each.reported} s, {each.healed} s; {each.lost=}" for each in late)
