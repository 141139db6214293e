"""Registration with the API server: the two APIServices, which only one metrics API server in a cluster can have.

A foreign APIService is never taken over. If any version of the group is foreign, we delete ours, as the versions of a
group must not differ. Absent ones are applied without force, so that another server that was first keeps them.
Their owner is the chart's ClusterRole: uninstalling deletes them at once, and no namespace deletion waits for an API
without a server.
"""

import base64
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from chatfleet_contract import names
from chatfleet_contract.names import METRICS_GROUP as GROUP
from chatfleet_contract.names import METRICS_VERSIONS as VERSIONS
from chatfleet_operator.kube import APPLY, Connection, NotFound
from chatfleet_operator.model.compare import contains
from chatfleet_operator.model.values import Manifest, Ref

API_VERSION: Final = "apiregistration.k8s.io/v1"
FIELD_MANAGER: Final = names.METRICS_APISERVER
PRIORITIES: Final[Mapping[str, int]] = {"v1beta2": 200, "v1beta1": 100}
"""Within the group; the highest version is preferred."""
GROUP_PRIORITY: Final = 100

logger = logging.getLogger(__name__)


class Ownership(Enum):
    ABSENT = "absent"
    OURS = "ours"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the API server reaches us, and who owns the APIServices."""

    service: Ref
    port: int
    owner: str
    """Name of the owning ClusterRole."""


class Metrics(Protocol):
    def registered(self, version: str, ownership: Ownership) -> None:
        """Record whose APIService a version of the group has."""
        ...


def ownership_of(live: Manifest | None, service: Ref) -> Ownership:
    """Return whose `live` is: ours, if it has our label and refers to our Service."""
    if live is None:
        return Ownership.ABSENT
    label = (live["metadata"].get("labels") or {}).get(names.LABEL_MANAGED_BY)
    ours = label == names.MANAGED_BY and _service_of(live) == service
    return Ownership.OURS if ours else Ownership.FOREIGN


def _service_of(live: Manifest) -> Ref:
    service = live["spec"].get("service") or {}
    return Ref(service.get("namespace", ""), service.get("name", ""))


def desired(version: str, endpoint: Endpoint, owner_uid: str, bundle: bytes) -> Manifest:
    owner = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"}
    return {
        "apiVersion": API_VERSION,
        "kind": "APIService",
        "metadata": {
            "name": f"{version}.{GROUP}",
            "labels": {names.LABEL_MANAGED_BY: names.MANAGED_BY},
            "ownerReferences": [{**owner, "name": endpoint.owner, "uid": owner_uid}],
        },
        "spec": {
            "group": GROUP,
            "version": version,
            "groupPriorityMinimum": GROUP_PRIORITY,
            "versionPriority": PRIORITIES[version],
            "service": {"namespace": endpoint.service.namespace, "name": endpoint.service.name, "port": endpoint.port},
            "caBundle": base64.b64encode(bundle).decode(),
        },
    }


class Registration:
    """Reconciles the APIServices. Any number of replicas may do so at a time."""

    def __init__(self, connection: Connection, endpoint: Endpoint, metrics: Metrics) -> None:
        self._connection = connection
        self._endpoint = endpoint
        self._metrics = metrics
        self._reported: Mapping[str, Ownership] = {}

    async def reconcile(self, bundle: bytes) -> None:
        """Register us, unless the group is foreign; raises ClusterError."""
        owner = await self._connection.read("ClusterRole", "", self._endpoint.owner)
        live = {version: await self._live(version) for version in VERSIONS}
        found = {version: ownership_of(seen, self._endpoint.service) for version, seen in live.items()}
        self._report(found, live)
        foreign = Ownership.FOREIGN in found.values()
        for version, seen in live.items():
            if not foreign:
                await self._apply(desired(version, self._endpoint, owner["metadata"]["uid"], bundle), seen)
            elif seen and found[version] is Ownership.OURS:
                await self._delete(version, seen)

    async def is_present(self) -> bool:
        """Whether an APIService of ours exists; raises ClusterError."""
        return any([await self._ours(version) for version in VERSIONS])

    async def withdraw(self) -> None:
        """Delete the APIServices that are ours; raises ClusterError."""
        for version in VERSIONS:
            if live := await self._ours(version):
                await self._delete(version, live)
                logger.info("Deleted APIService %s.%s", version, GROUP)
                self._metrics.registered(version, Ownership.ABSENT)

    async def _ours(self, version: str) -> Manifest | None:
        live = await self._live(version)
        return live if ownership_of(live, self._endpoint.service) is Ownership.OURS else None

    async def _live(self, version: str) -> Manifest | None:
        try:
            return await self._connection.read("APIService", "", f"{version}.{GROUP}")
        except NotFound:
            return None

    async def _apply(self, wanted: Manifest, live: Manifest | None) -> None:
        if live and contains(live, wanted):
            return
        head = {**wanted["metadata"], **({"uid": live["metadata"]["uid"]} if live else {})}
        query = {"fieldManager": FIELD_MANAGER, "force": "true" if live else "false"}
        name, body = wanted["metadata"]["name"], {**wanted, "metadata": head}
        await self._connection.write("PATCH", "APIService", "", name, body=body, query=query, content_type=APPLY)
        logger.info("Registered APIService %s", name)

    async def _delete(self, version: str, live: Manifest) -> None:
        body: Manifest = {"preconditions": {"uid": live["metadata"]["uid"]}}
        await self._connection.write("DELETE", "APIService", "", f"{version}.{GROUP}", body=body)

    def _report(self, found: Mapping[str, Ownership], live: Mapping[str, Manifest | None]) -> None:
        for version, ownership in found.items():
            self._metrics.registered(version, ownership)
            seen = live[version]
            if ownership is Ownership.FOREIGN and self._reported.get(version) is not ownership and seen:
                logger.warning(
                    "APIService %s.%s belongs to Service %s/%s and is not taken over. In this cluster "
                    "autoscaling.source builtin does not work; use prometheus or keda",
                    *(version, GROUP, *_service_of(seen)),
                )
        self._reported = found
