"""What a reconciliation needs from outside: narrow ports, each with a real adapter and a fake under one suite."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from chatfleet_contract.report import PodReport
from chatfleet_contract.status import ChatDeploymentStatus, Condition
from chatfleet_operator.model.conflict import Conflict
from chatfleet_operator.model.named_secrets import NamedSecret
from chatfleet_operator.model.token_issuer import TokenIssuer
from chatfleet_operator.model.values import (
    Deletion,
    Manifest,
    Notice,
    ObjectId,
    ProbeResult,
    Ref,
    Removal,
    Resource,
    Timestamp,
)


class Cluster(Protocol):
    """The API server, as far as one ChatDeployment needs it.

    Every method raises `errors.Retry` when a retry may help, and `errors.Refused` when it will not.
    """

    async def resource(self, ref: Ref) -> Resource | None:
        """Return the ChatDeployment; None: there is none."""
        ...

    async def child(self, namespace: str, key: ObjectId) -> Manifest | None:
        """Return an object as it is now, the values of a Secret blanked; None: there is none."""
        ...

    async def pods(self, namespace: str, labels: Mapping[str, str]) -> Sequence[Manifest]:
        """Return the pods with `labels`, by name."""
        ...

    async def event(self, namespace: str, uid: str) -> str:
        """Return the newest Event about an object that names a failure; empty: there is none."""
        ...

    async def secret(self, namespace: str, name: str, redis_url_key: str = "") -> NamedSecret:
        """Return what is known of a Secret, never its values; empty: there is no such Secret.

        `redis_url_key` has the URL of Redis, if it is in the Secret.
        """
        ...

    async def token_issuer(self) -> TokenIssuer:
        """Return who signs the tokens of ServiceAccounts, as of some seconds ago at most."""
        ...

    async def apply(self, manifest: Manifest, uid: str | None) -> Manifest:
        """Apply `manifest` under our field manager and return the object as it then is.

        `uid` is that of the object that was observed under this name; None: there was none. `Retry` when another
        object has this name now, so that what others have created in between is never overwritten.
        """
        ...

    async def remove_fields(self, namespace: str, removal: Removal) -> Manifest:
        """Remove fields of an object and return it as it then is; `Retry` when it is no longer the version observed."""
        ...

    async def generate(self, secret: Manifest) -> Manifest:
        """Create the Secret of a managed Redis with a generated password; `Retry` when one exists already."""
        ...

    async def delete(self, namespace: str, deletion: Deletion) -> None:
        """Delete an object, if it still is the one that was observed."""
        ...

    async def refresh_config(self, namespace: str, pod: str, digest: str) -> None:
        """Annotate `pod` with the configuration that it should serve: its kubelet then refreshes the mount at once."""
        ...

    async def refresh_secrets(self, namespace: str, pod: str, digest: str) -> None:
        """Annotate `pod` with the Secrets that it should read: its kubelet then refreshes the mount at once."""
        ...

    async def hand_over_replicas(self, manifest: Manifest) -> Manifest:
        """Apply the replicas in `manifest` under a field manager of their own: they stay when `apply` drops them.

        Returns the object as it then is; `Retry` when it no longer has the resourceVersion of `manifest`.
        """
        ...

    async def start(self, manifest: Manifest) -> None:
        """Set the replicas in `manifest`; `Retry` when its Deployment no longer has this resourceVersion."""
        ...

    async def set_deletion_cost(self, namespace: str, pod: str, cost: int, now: Timestamp) -> None:
        """Annotate `pod` with its deletion cost, and with the time of this write."""
        ...

    async def retry(self, namespace: str, key: ObjectId, now: Timestamp) -> None:
        """Annotate an object with this time: its controller then retries at once what has failed."""
        ...

    async def write_status(self, resource: Resource, status: ChatDeploymentStatus) -> None:
        """Write the status of `resource`; `Retry` when it has changed since it was read."""
        ...


class Prober(Protocol):
    """Requests to pods and Services. Failures are values, and every request has a timeout."""

    async def report(self, ip: str) -> PodReport | None:
        """Return the report of the pod at `ip`; None: none that can be read."""
        ...

    async def probe(self, address: str, port: int, *, token: str) -> ProbeResult:
        """Send one real request to the Service at `address`, with the operator's own credential."""
        ...


class Recorder(Protocol):
    async def record(self, resource: Resource, condition: Condition) -> None:
        """Record that `condition` has changed (`status/events.py`). Never raises ClusterError."""
        ...

    async def notice(self, resource: Resource, notice: Notice) -> None:
        """Record a warning that no condition states. Never raises ClusterError."""
        ...


class Metrics(Protocol):
    """The metrics of reconciliations."""

    def drift_repaired(self, drifted: frozenset[ObjectId]) -> None:
        """Count objects that others have changed and a reconciliation has repaired."""
        ...

    def conflicts_reported(self, ref: Ref, conflicts: Sequence[Conflict]) -> None:
        """Show which other clients change the children of one ChatDeployment after each repair."""
        ...

    def conditions_reported(self, ref: Ref, status: ChatDeploymentStatus) -> None:
        """Show the conditions of one ChatDeployment."""
        ...

    def removed(self, ref: Ref) -> None:
        """Drop the metrics of a deleted ChatDeployment."""
        ...
