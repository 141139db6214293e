"""What a pass needs from outside: narrow ports, each with a real adapter and a fake under one suite."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from chatfleet_contract.report import PodReport
from chatfleet_contract.status import ChatDeploymentStatus, Condition
from chatfleet_operator.model.values import Deletion, Manifest, ObjectId, ProbeResult, Ref, Resource, Timestamp


class Cluster(Protocol):
    """The API server, as far as one ChatDeployment needs it.

    Every method raises `errors.Retry` when trying again later may help, and `errors.Refused` when it will not.
    """

    async def resource(self, ref: Ref) -> Resource | None:
        """Return the ChatDeployment; None: there is none."""
        ...

    async def child(self, namespace: str, key: ObjectId) -> Manifest | None:
        """Return an object as it is now, the values of a Secret blanked; None: there is none."""
        ...

    async def pods(self, namespace: str, labels: Mapping[str, str]) -> Sequence[Manifest]:
        """Return the pods that carry `labels`, by name."""
        ...

    async def secret_keys(self, namespace: str, name: str) -> frozenset[str]:
        """Return the keys of a Secret, never its values; empty when there is no such Secret."""
        ...

    async def apply(self, manifest: Manifest, uid: str | None) -> Manifest:
        """Apply `manifest` under our field manager and return the object as it then is.

        `uid` is that of the object which was seen under this name, so that a successor is not overwritten.
        """
        ...

    async def generate(self, secret: Manifest) -> Manifest:
        """Create the Secret of a managed Redis with a fresh password; `Retry` when one exists already."""
        ...

    async def delete(self, namespace: str, deletion: Deletion) -> None:
        """Delete an object, if it is still the one that was seen."""
        ...

    async def refresh_config(self, namespace: str, pod: str, digest: str) -> None:
        """Annotate `pod` with the configuration it should serve, so that its kubelet refreshes the mount at once."""
        ...

    async def hand_over_replicas(self, manifest: Manifest) -> Manifest:
        """Apply the few fields of `manifest` under a manager of their own, so that they stay when `apply` drops them.

        Returns the object as it then is; `Retry` when it is not as its resourceVersion in `manifest` says.
        """
        ...

    async def set_deletion_cost(self, namespace: str, pod: str, cost: int, now: Timestamp) -> None:
        """Annotate `pod` with what its deletion costs, and when that was written."""
        ...

    async def write_status(self, resource: Resource, status: ChatDeploymentStatus) -> None:
        """Write the status of `resource`; `Retry` when it has changed since it was read."""
        ...


class Prober(Protocol):
    """What pods and Services answer. Failures are values, and every call is bounded in time."""

    async def report(self, ip: str) -> PodReport | None:
        """Return what the pod at `ip` tells about itself; None: nothing that can be read."""
        ...

    async def probe(self, address: str, port: int) -> ProbeResult:
        """Send one real request to the Service at `address`."""
        ...


class Recorder(Protocol):
    """Where people are told of changes. Never fails a pass."""

    async def record(self, resource: Resource, condition: Condition) -> None:
        """Record that `condition` of `resource` now says something else."""
        ...


class Metrics(Protocol):
    """Where the operator's own figures go."""

    def drift_repaired(self, drifted: frozenset[ObjectId]) -> None:
        """Count what somebody else changed and this pass repairs."""
        ...

    def conditions_reported(self, ref: Ref, status: ChatDeploymentStatus) -> None:
        """Show the conditions of one ChatDeployment."""
        ...

    def removed(self, ref: Ref) -> None:
        """Drop the figures of a ChatDeployment that is gone."""
        ...
