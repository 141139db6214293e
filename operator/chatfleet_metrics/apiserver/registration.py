"""How the API server finds the adapter: the two APIServices, which only one adapter in a cluster can have.

A foreign one is never taken over: if any version of the group is somebody else's, all of ours go, as the versions of a
group must not answer differently. Absent ones are applied without force, so that whoever was first a moment ago stays.
They belong to the chart's ClusterRole: uninstalling removes them at once, and no namespace waits for an API
that is no more.
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
FIELD_MANAGER: Final = "chatfleet-metrics-apiserver"
PRIORITIES: Final[Mapping[str, int]] = {"v1beta2": 200, "v1beta1": 100}
"""Within the group; the highest is preferred."""
GROUP_PRIORITY: Final = 100

logger = logging.getLogger(__name__)


class Standing(Enum):
    """Whose an APIService is."""

    ABSENT = "absent"
    OURS = "ours"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Adapter:
    """How we are reached."""

    service: Ref
    port: int
    owner: str
    """Name of the ClusterRole with which all of it goes."""


class Watch(Protocol):
    """Where the state is shown."""

    def registered(self, version: str, standing: Standing) -> None:
        """Show whose a version of the group is."""
        ...


def standing(live: Manifest | None, service: Ref) -> Standing:
    """Return whose `live` is: ours, if it bears our label and leads to our Service."""
    if live is None:
        return Standing.ABSENT
    label = (live["metadata"].get("labels") or {}).get(names.LABEL_MANAGED_BY)
    ours = label == names.MANAGED_BY and _leads_to(live) == service
    return Standing.OURS if ours else Standing.FOREIGN


def _leads_to(live: Manifest) -> Ref:
    service = live["spec"].get("service") or {}
    return Ref(service.get("namespace", ""), service.get("name", ""))


def desired(version: str, adapter: Adapter, owner_uid: str, bundle: bytes) -> Manifest:
    """Return the APIService of one version."""
    owner = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"}
    return {
        "apiVersion": API_VERSION,
        "kind": "APIService",
        "metadata": {
            "name": f"{version}.{GROUP}",
            "labels": {names.LABEL_MANAGED_BY: names.MANAGED_BY},
            "ownerReferences": [{**owner, "name": adapter.owner, "uid": owner_uid}],
        },
        "spec": {
            "group": GROUP,
            "version": version,
            "groupPriorityMinimum": GROUP_PRIORITY,
            "versionPriority": PRIORITIES[version],
            "service": {"namespace": adapter.service.namespace, "name": adapter.service.name, "port": adapter.port},
            "caBundle": base64.b64encode(bundle).decode(),
        },
    }


class Registration:
    """Keeps the APIServices as they should be. Any number of replicas may do so at a time."""

    def __init__(self, connection: Connection, adapter: Adapter, watch: Watch) -> None:
        self._connection = connection
        self._adapter = adapter
        self._watch = watch
        self._told: Mapping[str, Standing] = {}

    async def keep(self, bundle: bytes) -> None:
        """Register us, unless the group is somebody else's; raises ClusterError."""
        owner = await self._connection.read("ClusterRole", "", self._adapter.owner)
        live = {version: await self._live(version) for version in VERSIONS}
        found = {version: standing(seen, self._adapter.service) for version, seen in live.items()}
        self._tell(found, live)
        foreign = Standing.FOREIGN in found.values()
        for version, seen in live.items():
            if not foreign:
                await self._apply(desired(version, self._adapter, owner["metadata"]["uid"], bundle), seen)
            elif seen and found[version] is Standing.OURS:
                await self._withdraw(version, seen)

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
        logger.info("registered %s", name)

    async def _withdraw(self, version: str, live: Manifest) -> None:
        body: Manifest = {"preconditions": {"uid": live["metadata"]["uid"]}}
        await self._connection.write("DELETE", "APIService", "", f"{version}.{GROUP}", body=body)

    def _tell(self, found: Mapping[str, Standing], live: Mapping[str, Manifest | None]) -> None:
        for version, whose in found.items():
            self._watch.registered(version, whose)
            seen = live[version]
            if whose is Standing.FOREIGN and self._told.get(version) is not whose and seen:
                logger.warning(
                    "the APIService %s.%s leads to %s and is left alone: autoscaling with source builtin does not work "
                    "in this cluster; use prometheus or keda",
                    *(version, GROUP, _leads_to(seen)),
                )
        self._told = found
