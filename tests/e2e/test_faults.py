"""Rows of the fault matrix that need a kubelet, on a node that other tests use too: reported and healed."""

from collections.abc import Iterator

import pytest

from chatfleet_lab.faults.driver import Driver
from chatfleet_lab.faults.fault import LIMIT_SECONDS
from chatfleet_lab.faults.place import on_node
from chatfleet_lab.faults.rows.all import SHORT_ON_NODE
from harness.kube.node import CLUSTER, Node

PATIENCE = 6
"""Other tests start clusters on the same cores: a pod has taken half a minute to start beside them.
docs/measurements/reliability.md has what the rows take alone, where the limit is that of the promise."""
AT_ONCE = 4

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def driver(installed: Node) -> Iterator[Driver]:
    with on_node(installed, AT_ONCE, CLUSTER) as driver:
        yield driver


async def test_every_fault_is_reported_and_healed(driver: Driver) -> None:
    measured = await driver.play(SHORT_ON_NODE)
    assert not [each for each in measured if not each.within(PATIENCE * LIMIT_SECONDS)]
    assert not [each for each in measured if "hidden" in each.message]
