"""`leader.LeaseStore` as a Lease of coordination.k8s.io/v1."""

from collections.abc import Callable
from datetime import datetime

from chatfleet_operator.kube.connection import Connection, NotFound
from chatfleet_operator.model.values import Manifest, Ref
from chatfleet_operator.process.leader import LeaseRecord

LEASE_NAME = "chatfleet-operator"


class KubernetesLease:
    def __init__(self, connection: Connection, namespace: str, now: Callable[[], datetime]) -> None:
        self._connection = connection
        self._ref = Ref(namespace, LEASE_NAME)
        self._now = now
        self._live: Manifest | None = None

    async def read(self) -> LeaseRecord | None:
        try:
            self._live = await self._connection.read("Lease", *self._ref)
        except NotFound:
            self._live = None
            return None
        return _record(self._live)

    async def write(self, before: LeaseRecord | None, holder: str, seconds: int) -> LeaseRecord:
        live = self._live
        if before is None or live is None:
            head = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
            metadata = {"name": self._ref.name, "namespace": self._ref.namespace}
            body = {**head, "metadata": metadata, "spec": self._spec({}, holder, seconds)}
            self._live = await self._connection.write("POST", "Lease", self._ref.namespace, body=body)
        else:
            metadata = {**live["metadata"], "resourceVersion": before.version}
            body = {**live, "metadata": metadata, "spec": self._spec(live.get("spec") or {}, holder, seconds)}
            self._live = await self._connection.write("PUT", "Lease", *self._ref, body=body)
        return _record(self._live)

    def _spec(self, before: Manifest, holder: str, seconds: int) -> Manifest:
        now = self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        changes_holder = holder != before.get("holderIdentity")
        return {
            "holderIdentity": holder,
            "leaseDurationSeconds": seconds,
            "acquireTime": now if changes_holder else before.get("acquireTime", now),
            "renewTime": now,
            "leaseTransitions": int(before.get("leaseTransitions") or 0) + bool(holder and changes_holder),
        }


def _record(live: Manifest) -> LeaseRecord:
    spec = live.get("spec") or {}
    return LeaseRecord(
        holder=spec.get("holderIdentity") or "",
        seconds=int(spec.get("leaseDurationSeconds") or 0),
        version=live["metadata"]["resourceVersion"],
    )
