"""Which pods are to go first, and how seldom that is written."""

import random

import pytest

from chatfleet_operator.model.values import Pod
from chatfleet_operator.reconcile.deletion_cost import IMBALANCE_FACTOR, WRITE_SECONDS, stale_costs
from harness.kube.operated_cluster import pod_report


def pod(name: str, streams: int, cost: int = 0, age: float = WRITE_SECONDS) -> Pod:
    return Pod(
        name, ready=True, report=pod_report(name, "", active_streams=streams), deletion_cost=cost, deletion_cost_age=age
    )


@pytest.mark.parametrize(
    ("pods", "written"),
    [
        pytest.param([], {}, id="no pods"),
        pytest.param([pod("a", 0), pod("b", 0)], {}, id="all idle"),
        pytest.param([pod("a", 300), pod("b", 400)], {}, id="all about as busy, as far as Kubernetes knows alike"),
        pytest.param([pod("a", 300)], {}, id="one pod has no order"),
        pytest.param([pod("a", 0), pod("b", 1)], {"b": 1}, id="an idle pod goes before one that answers"),
        pytest.param([pod("a", 0, 9), pod("b", 9, 4)], {"a": 0, "b": 9}, id="the order has turned"),
        pytest.param([pod("a", 10, 10), pod("b", 90, 60)], {}, id="the order is right, though the costs are old"),
        pytest.param([pod("a", 10, 40), pod("b", 20, 30)], {}, id="twice as many is not far more"),
        pytest.param([pod("a", 10, 40), pod("b", 21, 30)], {"a": 10, "b": 21}, id="more than twice as many is"),
        pytest.param([pod("a", 5, 5), pod("b", 50, 5)], {"b": 50}, id="what is right already is not written"),
        pytest.param([pod("a", 0), pod("b", 5, age=29)], {}, id="not so soon after the last write"),
        pytest.param([pod("a", 0, -5), pod("b", 5)], {}, id="a cost that somebody else has set counts as it is"),
    ],
)
def test_costs_are_written_where_busy_pods_would_go_before_idle_ones(pods: list[Pod], written: dict[str, int]) -> None:
    assert stale_costs(pods) == written


def test_pods_that_terminate_or_have_no_report_get_no_deletion_cost() -> None:
    going = Pod("going", terminating=True, report=pod_report("going", "", active_streams=50))

    assert stale_costs([pod("a", 0), going, Pod("silent")]) == {}


def test_once_written_no_pod_goes_before_one_with_far_fewer_streams() -> None:
    rand = random.Random(5)  # noqa: S311  # the same pods every time
    for _ in range(300):
        pods = [pod(f"p{i}", rand.randrange(40), rand.randrange(40)) for i in range(rand.randrange(12))]
        for _ in range(len(pods)):
            written = stale_costs(pods)
            pods = [pod(each.name, streams(each), written.get(each.name, each.deletion_cost)) for each in pods]
        assert not stale_costs(pods)
        for one in pods:
            for other in pods:
                assert streams(one) * IMBALANCE_FACTOR >= streams(other) or one.deletion_cost < other.deletion_cost


def streams(of: Pod) -> int:
    assert of.report
    return of.report.active_streams
