"""The values that travel through one pass: what was seen, what is to be done, what came of it.

Pure data, so that every decision can be printed, compared and tested as a table.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple, TypeAlias

from typing_extensions import override

from chatfleet_contract.providers import SecretKeyRef
from chatfleet_contract.report import PodReport
from chatfleet_contract.runtime import RuntimeConfig
from chatfleet_contract.spec import ChatDeploymentSpec
from chatfleet_contract.status import ChatDeploymentStatus
from chatfleet_operator.model.errors import Refusal

Manifest: TypeAlias = dict[str, Any]
"""A Kubernetes object as JSON. Its schema is the API server's, who also checks it."""

Timestamp: TypeAlias = str
"""A moment as Kubernetes writes it: UTC, RFC 3339, whole seconds."""


class Ref(NamedTuple):
    """Which ChatDeployment: the key of the queue."""

    namespace: str
    name: str

    @override
    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class ObjectId(NamedTuple):
    """One object beside a ChatDeployment, in its namespace."""

    kind: str
    name: str

    @override
    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the operator, and not the resource, decides."""

    api_image: str
    """Image of the API pods where `template.image` says nothing."""
    redis_image: str
    """Image of a managed Redis."""


@dataclass(frozen=True, slots=True)
class LiveState:
    """What is in the cluster already and shapes what should exist."""

    secret_uid: str = ""
    """Identity of the password Secret of a managed Redis; empty while there is none."""
    deployed: bool = False
    """Whether our Deployment exists, so that an autoscaler can set the number of its pods."""
    workloads: Mapping[ObjectId, Manifest] = field(default_factory=dict)
    """Ours that have pods, with the pod templates that were last applied."""
    foreign_metrics: bool = False
    """Whether somebody else's adapter serves the API of pods' metrics."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A ChatDeployment as it stands in the cluster."""

    ref: Ref
    uid: str
    version: str
    """Its resourceVersion: a status is only written to what it is about."""
    generation: int
    spec: ChatDeploymentSpec | None
    """None: this operator cannot read the spec; `problem` says why."""
    problem: str = ""
    template_revision: str = ""
    """The pod templates that it has opted in to; empty: those that run."""
    deleting: bool = False
    status: ChatDeploymentStatus = field(default_factory=lambda: ChatDeploymentStatus.model_validate({}))


@dataclass(frozen=True, slots=True)
class Pod:
    """One API pod."""

    name: str
    ip: str | None = None
    ready: bool = False
    terminating: bool = False
    """On its way out, or finished: it is not one of the pods that are to serve."""
    config_annotation: str | None = None
    """Digest of the configuration that the operator last pointed this pod to."""
    report: PodReport | None = None
    deletion_cost: int = 0
    """What its deletion costs, as was last written; Kubernetes takes the cheapest pods away first."""
    deletion_cost_age: float = math.inf
    """Seconds since that was written."""


@dataclass(frozen=True, slots=True)
class MetricsApi:
    """Who serves the API of pods' metrics (custom.metrics.k8s.io)."""

    served: bool
    """Whether anybody does."""
    foreign: str = ""
    """Whose it is when it is not ours; empty: ours, or nobody's."""
    unavailable: str = ""
    """Why the API server cannot reach it, in its own words; empty: it can, or has not tried yet."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What one request through the Service brought."""

    models: frozenset[str] = frozenset()
    """Names in the list of models, when the answer was 200."""
    config: str | None = None
    """Digest of the configuration of the pod that answered."""
    problem: str = ""
    """Why there was no right answer; empty when there was."""


@dataclass(frozen=True, slots=True)
class Observed:
    """One live snapshot of everything that a decision needs."""

    resource: Resource
    children: Mapping[ObjectId, Manifest]
    """Objects that exist under the names we use, ours or not. Values of Secrets are blanked."""
    unreadable: Mapping[ObjectId, Refusal]
    """Objects that the API server did not let us read."""
    pods: tuple[Pod, ...] = ()
    missing_secrets: tuple[SecretKeyRef, ...] = ()
    """Keys of Secrets that the spec names and that are not there."""
    probe: ProbeResult | None = None
    """None: the Service has no ready pod or no address, and was not probed."""
    metrics_api: MetricsApi | None = None
    """None: it does not matter here, or we may not know."""


@dataclass(frozen=True, slots=True)
class Desired:
    """What should exist."""

    children: tuple[Manifest, ...]
    """In the order in which they are applied."""
    config: RuntimeConfig
    revision: str = ""
    """Names the pod templates of `children`."""
    newest_revision: str = ""
    """Names those that this operator would make of a new resource."""


class Deletion(NamedTuple):
    """An object of ours that is to go; the uid keeps a successor of the same name safe."""

    id: ObjectId
    uid: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What one pass will do."""

    desired: Desired | None = None
    """None: the spec cannot be read, and everything stays as it is."""
    generate: tuple[Manifest, ...] = ()
    """Secrets without their values, which are drawn when they are created. A pass that does this does nothing else."""
    delete_first: tuple[Deletion, ...] = ()
    """Autoscalers that are to go before anything else is done, so that no two hands set the number of pods."""
    hand_over_replicas: Manifest | None = None
    """The number of pods, to be held by another manager of ours: else it would be lost when we stop asking for it."""
    apply: tuple[Manifest, ...] = ()
    drifted: frozenset[ObjectId] = frozenset()
    """Those of `apply` that somebody else changed or removed."""
    prune: tuple[Deletion, ...] = ()
    refresh_config: tuple[str, ...] = ()
    """Names of pods whose mounted configuration is to be refreshed at once."""
    deletion_costs: Mapping[str, int] = field(default_factory=dict)
    """What the deletion of pods costs, by name, where that is to be written."""
    foreign: tuple[ObjectId, ...] = ()
    """Objects that stand where ours should, and that we leave alone."""

    @property
    def writes(self) -> int:
        """How many writes this plan asks for, the status apart; 0 at rest."""
        several = (self.generate, self.delete_first, self.apply, self.prune, self.refresh_config, self.deletion_costs)
        return sum(map(len, several)) + (self.hand_over_replicas is not None)

    @override
    def __str__(self) -> str:
        steps = {
            "generate": map(identify, self.generate),
            "delete first": (deletion.id for deletion in self.delete_first),
            "hand over replicas of": () if self.hand_over_replicas is None else (identify(self.hand_over_replicas),),
            "apply": map(identify, self.apply),
            "repair": self.drifted,
            "prune": (deletion.id for deletion in self.prune),
            "refresh config of": self.refresh_config,
            "set deletion cost of": self.deletion_costs,
        }
        named = {verb: sorted(map(str, objects)) for verb, objects in steps.items()}
        return "; ".join(f"{verb} {', '.join(objects)}" for verb, objects in named.items() if objects)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a plan: failures are values."""

    applied: Mapping[ObjectId, Manifest] = field(default_factory=dict)
    """Objects as they were after this pass had written them."""
    refused: Mapping[ObjectId, Refusal] = field(default_factory=dict)
    """Objects that the API server did not accept."""
    unfinished: str = ""
    """Why the rest of the plan was left for later; empty when it was carried out."""
    retry_after: float = 0.0
    """Least seconds to wait before trying again, when the API server asked for it."""

    @property
    def failed(self) -> bool:
        """Whether something that was planned is not done."""
        return bool(self.refused or self.unfinished)


class Requeue(Enum):
    """When to look again."""

    IMMEDIATELY = "at once"
    """A next step waits for nothing."""
    UNSETTLED = "unsettled"
    """Something is under way: soon, then less often."""
    SETTLED = "settled"
    """At rest: with the next resync."""
    FAILED = "failed"
    """Something must change outside: with growing pauses."""
    GONE = "gone"
    """Never: the object is no more."""


class Result(NamedTuple):
    """The end of one pass."""

    requeue: Requeue
    min_delay: float = 0.0
    """Least seconds to wait."""


def identify(manifest: Manifest) -> ObjectId:
    """Return which object `manifest` is."""
    return ObjectId(manifest["kind"], manifest["metadata"]["name"])
