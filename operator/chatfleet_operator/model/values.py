"""The values of one reconciliation: what was observed, what is desired, the plan, the outcome.

Pure data, so that every decision can be printed, compared and tested as a table.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from typing_extensions import override

from chatfleet_contract.report import PodReport
from chatfleet_contract.runtime import RuntimeConfig
from chatfleet_contract.spec import ChatDeploymentSpec
from chatfleet_contract.spec.secrets import ConfigMapKeyRef, SecretKeyRef
from chatfleet_contract.status import ChatDeploymentStatus
from chatfleet_operator.model.conflict import Conflict
from chatfleet_operator.model.errors import Refusal
from chatfleet_operator.model.metrics_api import MetricsApi
from chatfleet_operator.model.named_secrets import NOTHING_MOUNTED, MountedSecrets, SecretUse
from chatfleet_operator.model.start_failure import StartFailure
from chatfleet_operator.model.token_issuer import TokenIssuer

Manifest: TypeAlias = dict[str, Any]
"""A Kubernetes object as JSON. The API server has its schema and validates it."""

Timestamp: TypeAlias = str
"""A time as Kubernetes writes it: UTC, RFC 3339, whole seconds."""


class Ref(NamedTuple):
    """A ChatDeployment: the key of the work queue."""

    namespace: str
    name: str

    @override
    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class ObjectId(NamedTuple):
    """Another object in the namespace of a ChatDeployment."""

    kind: str
    name: str

    @override
    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def deployment_id(ref: Ref) -> ObjectId:
    """Return the Deployment of the API pods: it has the name of the ChatDeployment."""
    return ObjectId("Deployment", ref.name)


@dataclass(frozen=True, slots=True)
class LiveState:
    """What exists in the cluster already and affects what should exist."""

    secret_uid: str = ""
    """Uid of the password Secret of a managed Redis; empty: there is none yet."""
    deployed: bool = False
    """Whether our Deployment exists, so that an autoscaler can set the number of its pods."""
    workloads: Mapping[ObjectId, Manifest] = field(default_factory=dict)
    """Our workloads, with the pod templates that were last applied."""
    volume: Manifest | None = None
    """Our volume claim of a managed Redis."""
    foreign_metrics: bool = False
    """Whether another metrics API server than ours serves custom.metrics.k8s.io."""
    refused_secrets: frozenset[str] = frozenset()
    """Secrets that no pod may use."""
    token_issuer: TokenIssuer | None = None
    """Of this cluster; None: it is not needed, or not known."""
    instructions: Mapping[str, str] = field(default_factory=dict)
    """Of agents with instructions in ConfigMaps, by name; those that pods have where they cannot be read."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A ChatDeployment as it is in the cluster."""

    ref: Ref
    uid: str
    version: str
    """Its resourceVersion: a status is only written to the version that it is about."""
    generation: int
    spec: ChatDeploymentSpec | None
    """None: this operator cannot read the spec; `problem` is the reason."""
    problem: str = ""
    template_revision: str = ""
    """The revision of the pod templates that it has opted in to; empty: those that run."""
    deleting: bool = False
    paused: bool = False
    """Nothing is written for it but its status."""
    annotation_problem: str = ""
    """Why one of its annotations has no effect."""
    status: ChatDeploymentStatus = field(default_factory=lambda: ChatDeploymentStatus.model_validate({}))


@dataclass(frozen=True, slots=True)
class Pod:
    """One API pod."""

    name: str
    ready: bool = False
    terminating: bool = False
    """Being deleted, or finished: it does not count as one of the pods that should serve."""
    config_annotation: str | None = None
    """Digest of the configuration in its annotation, by which its mount was last refreshed."""
    report: PodReport | None = None
    created: Timestamp = ""
    secrets_annotation: str | None = None
    """Digest of the Secrets in its annotation, by which its mount was last refreshed."""
    deletion_cost: int = 0
    """As last written; Kubernetes deletes the pods with the lowest cost first."""
    deletion_cost_age: float = math.inf
    """Seconds since that was written."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The result of one request through the Service."""

    models: frozenset[str] = frozenset()
    """Names in the list of models, if the status was 200."""
    config: str | None = None
    """Digest of the configuration of the pod that answered."""
    problem: str = ""
    """Why the request failed; empty: it succeeded."""


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
    """Keys of Secrets that the spec references and that do not exist."""
    empty_secrets: tuple[str, ...] = ()
    """Names of Secrets, all of whose keys are mounted, that do not exist or have no keys."""
    refused_secrets: tuple[SecretUse, ...] = ()
    """Secrets that the spec names and that it may not use."""
    redis_url_error: str = ""
    """Why the URL of Redis in the Secret that the spec names is not valid; empty: it is, or was not read."""
    instructions: Mapping[str, str] = field(default_factory=dict)
    """What ConfigMaps have as instructions of agents, by the name of the agent."""
    missing_config_map_keys: tuple[ConfigMapKeyRef, ...] = ()
    mounted_secrets: MountedSecrets = NOTHING_MOUNTED
    probe: ProbeResult | None = None
    """None: the Service has no ready pod or no address, and was not probed."""
    token_issuer: TokenIssuer | None = None
    """None: it is not needed, or the API server did not let us read it."""
    metrics_api: MetricsApi | None = None
    """None: it does not matter here, or we have no right to read it."""
    start_failures: tuple[StartFailure, ...] = ()
    """Why pods do not start, the first cause first."""
    load_balancer_failure: str = ""
    """Why the Service has no load balancer, from its newest Event; empty: it has one, or no Event names a failure."""
    retries: tuple[ObjectId, ...] = ()
    """Objects of ours whose controllers have failed and should retry now."""


@dataclass(frozen=True, slots=True)
class Desired:
    """What should exist."""

    children: tuple[Manifest, ...]
    """In the order in which they are applied."""
    config: RuntimeConfig
    revision: str = ""
    """Hash of the pod templates of `children`."""
    newest_revision: str = ""
    """Hash of those that this operator would build for a new ChatDeployment."""


class Deletion(NamedTuple):
    """An object of ours to delete; the uid protects a successor of the same name, the version one that has changed."""

    id: ObjectId
    uid: str
    version: str = ""


class Removal(NamedTuple):
    """Fields of an object of ours to remove: JSON pointers in their order, whose indices are those of the version."""

    id: ObjectId
    version: str
    pointers: tuple[str, ...]


class Notice(NamedTuple):
    """Something that happened and that no condition states: it becomes a Kubernetes Event."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What one reconciliation will write, the status apart."""

    desired: Desired | None = None
    """None: the spec cannot be read, and nothing changes."""
    generate: tuple[Manifest, ...] = ()
    """Secrets without their values, which are generated on creation. Nothing else is in such a plan."""
    delete_first: tuple[Deletion, ...] = ()
    """Autoscalers to delete before anything else is written, so that never two set the number of pods."""
    hand_over_replicas: Manifest | None = None
    """The number of pods, to be owned by another field manager of ours: else applying without it would reset it."""
    start: Manifest | None = None
    """The Deployment of the metrics API server with the number of its pods, as it has none and is needed."""
    apply: tuple[Manifest, ...] = ()
    drifted: frozenset[ObjectId] = frozenset()
    """Those of `apply` and `remove_fields` that others changed or removed."""
    remove_fields: tuple[Removal, ...] = ()
    """Fields that others added and that are ours all the same (`model/put_back.py`)."""
    prune: tuple[Deletion, ...] = ()
    refresh_config: tuple[str, ...] = ()
    """Names of pods whose mounted configuration is to be refreshed at once."""
    refresh_secrets: Mapping[str, str] = field(default_factory=dict)
    """Pods whose mounted Secrets are to be refreshed at once, with the digest of these."""
    deletion_costs: Mapping[str, int] = field(default_factory=dict)
    """By pod, where it has to be written."""
    retries: tuple[ObjectId, ...] = ()
    """Objects to touch, so that their controllers retry."""
    foreign: tuple[ObjectId, ...] = ()
    """Objects of others under the names of ours. They are never written."""
    blocked: Mapping[ObjectId, ObjectId] = field(default_factory=dict)
    """Workloads that are not applied, each with an object of `foreign` that its pods would use."""
    refused_fields: tuple[str, ...] = ()
    """Fields of the spec that are ignored because the operator does not allow them."""
    withheld: tuple[ObjectId, ...] = ()
    """Objects that differ from what is desired and are not written, because the ChatDeployment is paused."""
    edited: frozenset[ObjectId] = frozenset()
    """Those of `withheld` that others changed or removed."""
    conflicts: tuple[Conflict, ...] = ()
    """Objects that another client changes after each repair; repairs of these are delayed."""
    notices: tuple[Notice, ...] = ()
    """What this plan does and no condition states."""

    @property
    def writes(self) -> int:
        """How many writes this plan has; 0 at rest."""
        return sum(map(len, self._steps().values()))

    def _steps(self) -> dict[str, list[object]]:
        """Return the objects that are written, by verb."""
        return {
            "generate": [*map(identify, self.generate)],
            "delete first": [deletion.id for deletion in self.delete_first],
            "hand over replicas of": [*map(identify, filter(None, (self.hand_over_replicas,)))],
            "start": [*map(identify, filter(None, (self.start,)))],
            "apply": [*map(identify, self.apply)],
            "remove fields of": [removal.id for removal in self.remove_fields],
            "prune": [deletion.id for deletion in self.prune],
            "refresh config of": [*self.refresh_config],
            "refresh Secrets of": [*self.refresh_secrets],
            "set deletion cost of": [*self.deletion_costs],
            "retry": [*self.retries],
        }

    @override
    def __str__(self) -> str:
        named = {
            verb: sorted(map(str, objects)) for verb, objects in (self._steps() | {"repair": self.drifted}).items()
        }
        text = "; ".join(f"{verb} {', '.join(objects)}" for verb, objects in named.items() if objects)
        return f"{text[:1].upper()}{text[1:]}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a plan: failures are values."""

    applied: Mapping[ObjectId, Manifest] = field(default_factory=dict)
    """Objects as they are after this reconciliation has written them."""
    refused: Mapping[ObjectId, Refusal] = field(default_factory=dict)
    """Objects that the API server did not accept."""
    unfinished: str = ""
    """The transient failure that ended the plan; empty: it was carried out."""
    retry_after: float = 0.0
    """Least seconds before a retry, if the API server has set it."""

    @property
    def failed(self) -> bool:
        """Whether something that was planned was not done."""
        return bool(self.refused or self.unfinished)


def identify(manifest: Manifest) -> ObjectId:
    return ObjectId(manifest["kind"], manifest["metadata"]["name"])
