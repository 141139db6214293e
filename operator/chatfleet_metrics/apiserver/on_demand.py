"""Our presence in the cluster, if we run only while a ChatDeployment needs us.

The operator starts us when one does. We register while there is one and hold the registration for some minutes after
the last one went, so that a ChatDeployment that is applied anew finds its metrics. Then we delete the APIServices
and, only after these, our pods: no registered API is ever without a server, which would block the deletion of every
namespace.
"""

import logging
from dataclasses import dataclass
from typing import Protocol

from chatfleet_metrics.demand import Demand
from chatfleet_operator.kube import MERGE, Connection
from chatfleet_operator.model.values import Manifest, Ref

logger = logging.getLogger(__name__)


class Registered(Protocol):
    """The registration (`registration.Registration`)."""

    async def reconcile(self, bundle: bytes) -> None: ...

    async def is_present(self) -> bool:
        """Whether an APIService of ours exists."""
        ...

    async def withdraw(self) -> None:
        """Delete the APIServices that are ours."""
        ...


class Scaled(Protocol):
    async def set_replicas(self, replicas: int) -> None:
        """Set the number of our pods, if it is another."""
        ...


@dataclass(frozen=True, slots=True)
class OnDemand:
    """Any number of replicas may do this at a time. Raises ClusterError: nothing after the failure is done."""

    registration: Registered
    deployment: Scaled
    demand: Demand
    replicas: int
    hold_seconds: float
    """How long the registration outlives the last ChatDeployment that needed it."""

    async def reconcile(self, bundle: bytes) -> None:
        """Be registered, stay as we are, or leave."""
        if self.demand.is_present:
            await self.registration.reconcile(bundle)
            await self.deployment.set_replicas(self.replicas)
        elif self.demand.is_known and not await self._holds():
            logger.info("No ChatDeployment needs the metrics API server. It ends; the operator starts it on demand")
            await self.registration.withdraw()
            await self.deployment.set_replicas(0)

    async def _holds(self) -> bool:
        return self.demand.seconds_absent < self.hold_seconds and await self.registration.is_present()


@dataclass(frozen=True, slots=True)
class OwnDeployment:
    """The Deployment of which this process is a pod."""

    connection: Connection
    ref: Ref

    async def set_replicas(self, replicas: int) -> None:
        where = ("Deployment", self.ref.namespace, self.ref.name, "scale")
        live = await self.connection.read(*where)
        if (live["spec"].get("replicas") or 0) == replicas:
            return
        head = {"resourceVersion": live["metadata"]["resourceVersion"]}  # a start by the operator comes first
        body: Manifest = {"metadata": head, "spec": {"replicas": replicas}}
        await self.connection.write("PATCH", *where, body=body, content_type=MERGE)
