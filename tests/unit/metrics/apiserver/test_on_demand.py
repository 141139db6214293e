"""When the server registers, holds its registration and leaves; never an APIService without pods."""

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from chatfleet_metrics.apiserver.on_demand import OnDemand, OwnDeployment
from chatfleet_metrics.demand import Demand
from chatfleet_metrics.settings import Settings
from chatfleet_operator.kube import Connection
from chatfleet_operator.model.errors import Retry
from chatfleet_operator.model.values import Ref

HOLD_SECONDS = Settings().hold_seconds
NEEDS = {"metadata": {"namespace": "shop", "name": "support"}, "spec": {"autoscaling": {"maxReplicas": 9}}}


@dataclass
class Presence:
    """The APIServices and the pods, with what was done to them."""

    registered: bool = False
    replicas: int = 1
    done: list[str] = field(default_factory=list)
    fails: bool = False

    async def reconcile(self, bundle: bytes) -> None:
        assert bundle == b"authority"
        self.registered = True
        self.done.append("register")

    async def is_present(self) -> bool:
        return self.registered

    async def withdraw(self) -> None:
        if self.fails:
            raise Retry("no response")
        self.registered = False
        self.done.append("withdraw")

    async def set_replicas(self, replicas: int) -> None:
        self.replicas = replicas
        self.done.append(f"scale to {replicas}")


@dataclass
class Run:
    now: float = 1000.0
    presence: Presence = field(default_factory=Presence)
    demand: Demand = field(init=False)

    def __post_init__(self) -> None:
        self.demand = Demand(lambda: self.now)

    async def reconcile(self) -> list[str]:
        self.presence.done.clear()
        await OnDemand(self.presence, self.presence, self.demand, 2, HOLD_SECONDS).reconcile(b"authority")
        return self.presence.done


async def test_while_a_chatdeployment_needs_it_it_is_registered_with_all_its_pods() -> None:
    run = Run()
    run.demand.replace([NEEDS])
    assert await run.reconcile() == ["register", "scale to 2"]


async def test_before_the_chatdeployments_are_known_it_does_nothing() -> None:
    run = Run(presence=Presence(registered=True))
    run.now += 2 * HOLD_SECONDS
    assert await run.reconcile() == []


async def test_the_registration_outlives_the_last_need_and_then_goes_before_the_pods() -> None:
    run = Run()
    run.demand.replace([NEEDS])
    await run.reconcile()
    run.demand.delete(NEEDS)
    run.now += HOLD_SECONDS - 1
    assert await run.reconcile() == []
    run.demand.update(NEEDS)
    assert await run.reconcile() == ["register", "scale to 2"]
    run.demand.delete(NEEDS)
    run.now += HOLD_SECONDS
    assert await run.reconcile() == ["withdraw", "scale to 0"]


async def test_a_new_process_holds_what_an_earlier_one_has_registered() -> None:
    run = Run(presence=Presence(registered=True))
    run.demand.replace([])
    assert await run.reconcile() == []
    run.now += HOLD_SECONDS
    assert await run.reconcile() == ["withdraw", "scale to 0"]


async def test_without_a_registration_there_is_nothing_to_hold() -> None:
    run = Run()
    run.demand.replace([])
    assert await run.reconcile() == ["withdraw", "scale to 0"]


async def test_pods_stay_while_the_apiservices_cannot_be_deleted() -> None:
    run = Run(presence=Presence(registered=True, fails=True))
    run.demand.replace([])
    run.now += HOLD_SECONDS
    with pytest.raises(Retry):
        await run.reconcile()
    assert run.presence.done == []


class Server:
    """The scale of one Deployment."""

    def __init__(self, **spec: int) -> None:
        self.spec = spec
        self.written = list[Any]()

    async def read(self, *where: str) -> Any:  # noqa: ANN401  # JSON
        assert where == ("Deployment", "system", "metrics", "scale")
        return {"metadata": {"resourceVersion": "7"}, "spec": self.spec}

    async def write(self, _method: str, *_where: str, body: Any, **_: str) -> None:  # noqa: ANN401  # JSON
        self.written.append(body)


@pytest.mark.parametrize(
    ("spec", "wanted", "written"),
    [({"replicas": 2}, 2, []), ({}, 0, []), ({"replicas": 1}, 2, [2]), ({"replicas": 2}, 0, [0])],
)
async def test_its_pods_are_scaled_only_to_another_number_and_only_as_they_were_seen(
    spec: dict[str, int], wanted: int, written: list[int]
) -> None:
    server = Server(**spec)
    await OwnDeployment(cast("Connection", server), Ref("system", "metrics")).set_replicas(wanted)
    assert server.written == [
        {"metadata": {"resourceVersion": "7"}, "spec": {"replicas": replicas}} for replicas in written
    ]
