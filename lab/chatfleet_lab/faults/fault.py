"""What a row of the fault matrix is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeAlias

from chatfleet_contract.status import ConditionType, Reason
from chatfleet_operator.model.values import Manifest, Ref
from harness.kube.objects import Objects
from harness.kube.operated_cluster import document

NAME: Final = "support"
"""Of each ChatDeployment: it is alone in its namespace."""
OWN: Final = {"urlSecretRef": {"name": "own", "key": "url"}}
"""The Redis of rows that are not about one: a Secret with a URL."""
MANAGED: Final[Mapping[str, Any]] = {"redis": {"managed": {}}}
"""The spec of rows about the Redis that the operator runs."""
OWN_REDIS: Final = "redis://own:6379/0"
LONGEST_SECONDS: Final = 60.0
"""For which a row is waited for: longer than allowed is a figure too."""
LIMIT_SECONDS: Final = 10.0
"""In which a fault is in a condition, and in which it is gone from there."""


class Needs(StrEnum):
    """What a row needs beside the API server, Kubernetes' controllers and the operator."""

    NOTHING = "nothing"
    PODS = "pods"
    """A kubelet that runs pods, and a scheduler."""
    SERVING = "serving"
    """The same, and a ChatDeployment that serves before the fault."""


class Tool(StrEnum):
    """What the pods of a row have outside of the cluster, to be hurt."""

    UPSTREAM = "upstream"
    REDIS = "Redis"


@dataclass
class Case:
    """One row as it is played: its namespace."""

    namespace: str
    objects: Objects
    spec: Mapping[str, Any] = field(default_factory=dict)
    """Changes of the ChatDeployment without pods that all rows have."""
    taken: Any = None
    """What a step took away, for the step that gives it back."""
    tools: Any = None
    """`tools.Tools` on a node; beside an API server `processes.Processes`."""

    def apply(self, **changes: Any) -> None:  # noqa: ANN401  # JSON
        """Apply the ChatDeployment, with further changes of its spec."""
        spec = {"replicas": 0, "redis": OWN, **self.spec, **changes}
        self.objects.apply(document(Ref(self.namespace, NAME), **spec))

    def is_scaling(self) -> bool:
        """Return whether the autoscaler reads its metrics."""
        live = self.objects.get(f"chatdeployment/{NAME}") or {}
        return any(each["reason"] == "Scaling" for each in live.get("status", {}).get("conditions", []))


Step: TypeAlias = Callable[[Case], object]
"""What is done to a case."""


def nothing(_case: Case) -> bool:
    """Do nothing."""
    return True


@dataclass(frozen=True)
class Fault:
    """One row."""

    name: str
    inject: Step
    heal: Step
    condition: ConditionType
    reason: Reason
    words: tuple[str, ...]
    """What the message must have."""
    in_ready: bool = False
    """Whether the message of Ready has the words too."""
    spec: Mapping[str, Any] = field(default_factory=dict)
    objects: tuple[Manifest, ...] = ()
    """What is in the namespace before the ChatDeployment."""
    before: Step = nothing
    """What is done once the ChatDeployment is there, or would be."""
    settles: Callable[[Case], object] = nothing
    """Whether what the fault is about is as it should be."""
    tools: frozenset[Tool] = frozenset()
    after: Step = nothing
    """What removes objects that are not in the namespace."""
    starts: bool = False
    """The ChatDeployment is created by the injection."""
    needs: Needs = Needs.NOTHING
    alone: bool = False
    """It is about the whole cluster, so no other row is played meanwhile."""
    patience: float = LONGEST_SECONDS
    """Seconds in which it is expected at all."""
    lasts: float = 0
    """Seconds that it lasts at least: Kubernetes retries after twice as long each time."""


@dataclass(frozen=True)
class Drift:
    """One row of what is repaired at once, and so in no condition: an object that is not as the operator made it."""

    name: str
    what: str
    """The object, in kubectl's notation."""
    inject: Step
    repaired: Callable[[Manifest], bool] | None = None
    """Whether it is repaired; None: it is as it was before."""
    spec: Mapping[str, Any] = field(default_factory=dict)
    needs: Needs = Needs.NOTHING
    before: Step = nothing


Row: TypeAlias = Fault | Drift
