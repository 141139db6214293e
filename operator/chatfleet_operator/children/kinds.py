"""The table of kinds: those of the children of a ChatDeployment, and Pod; with everything that depends on a kind.

From it derive the API paths (`kube/connection.py`), the rights (`kube/rbac.py`), what is watched (`watches.py`), what
is looked up, pruned and deleted first (`reconcile/`), and how lists are compared (`model/compare.py`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from chatfleet_contract import names
from chatfleet_operator.model.compare import METADATA_LIST_KEYS, ListKeys

# The verbs of a child: WATCH and APPLY. DELETE too, if a spec can stop wanting it. GET instead of WATCH for Secrets
# and kinds with an optional CRD.
GET, WATCH = ("get",), ("get", "list", "watch")
APPLY = ("create", "patch")
"""Server-side apply needs both: it creates what is absent."""
DELETE = ("delete",)

ChildName: TypeAlias = Callable[[str], str]
"""From the name of a ChatDeployment to that of a child."""


def same_name(deployment: str) -> str:
    return deployment


@dataclass(frozen=True, slots=True)
class Kind:
    """One row: where objects of a kind are, what we may do with them, and how they are treated."""

    name: str
    group: str
    """API group; empty: the core."""
    version: str
    plural: str
    verbs: tuple[str, ...]
    """The rights that the operator needs on it, in every namespace that it watches."""
    child_names: tuple[ChildName, ...] = ()
    """The children of this kind that a ChatDeployment may have, whatever its spec is: each name is one read per
    reconciliation."""
    list_keys: ListKeys = field(default_factory=dict)
    """By field: the keys of a list that is a map, `x-kubernetes-list-map-keys` in the API's OpenAPI document. Atomic
    lists need none. With wrong keys the child is applied again in every reconciliation."""
    autoscaler: bool = False
    """It sets the number of pods: deleted before anything else is written, and not needed to serve."""
    has_pods: bool = False
    """It has a pod template."""
    holds_data: bool = False
    """It is deleted only with the ChatDeployment, or while it holds no data yet; pruning skips it."""
    optional_crd: bool = False
    """A cluster may not serve it. Such a kind is not watched: GET instead of WATCH."""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def prefix(self) -> str:
        """The path of its API."""
        return f"apis/{self.api_version}" if self.group else f"api/{self.version}"

    @property
    def watched(self) -> bool:
        return "watch" in self.verbs

    @property
    def prunable(self) -> bool:
        return "delete" in self.verbs and not self.holds_data


_POD_TEMPLATE_LIST_KEYS: Final[ListKeys] = {
    "containers": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "ports": ("containerPort", "protocol"),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}

DEPLOYMENT: Final = Kind(
    *("Deployment", "apps", "v1", "deployments"),
    verbs=(*WATCH, *APPLY, *DELETE),
    child_names=(same_name, names.activator_name),
    list_keys=_POD_TEMPLATE_LIST_KEYS,
    has_pods=True,
)
STATEFUL_SET: Final = Kind(
    *("StatefulSet", "apps", "v1", "statefulsets"),
    verbs=(*WATCH, *APPLY, *DELETE),
    child_names=(names.redis_name,),
    list_keys=_POD_TEMPLATE_LIST_KEYS,
    has_pods=True,
)
SERVICE: Final = Kind(
    *("Service", "", "v1", "services"),
    verbs=(*WATCH, *APPLY, *DELETE),
    child_names=(same_name, names.pods_name, names.activator_name, names.redis_name),
    list_keys={"ports": ("port", "protocol")},
)
SERVICE_ACCOUNT: Final = Kind(
    *("ServiceAccount", "", "v1", "serviceaccounts"), verbs=(*WATCH, *APPLY), child_names=(same_name,)
)
CONFIG_MAP: Final = Kind(
    *("ConfigMap", "", "v1", "configmaps"), verbs=(*WATCH, *APPLY), child_names=(names.config_name,)
)
POD_DISRUPTION_BUDGET: Final = Kind(
    *("PodDisruptionBudget", "policy", "v1", "poddisruptionbudgets"),
    verbs=(*WATCH, *APPLY, *DELETE),
    child_names=(same_name, names.redis_name),
)
HORIZONTAL_POD_AUTOSCALER: Final = Kind(
    *("HorizontalPodAutoscaler", "autoscaling", "v2", "horizontalpodautoscalers"),
    verbs=(*WATCH, *APPLY, *DELETE),
    child_names=(same_name,),
    autoscaler=True,
)
SCALED_OBJECT: Final = Kind(
    *("ScaledObject", "keda.sh", "v1alpha1", "scaledobjects"),
    verbs=(*GET, *APPLY, *DELETE),
    child_names=(same_name,),
    autoscaler=True,
    optional_crd=True,
)
# Never listed or watched: only Secrets that a resource names are read, one by one. The resync finds changes of ours.
SECRET: Final = Kind(*("Secret", "", "v1", "secrets"), verbs=(*GET, *APPLY, *DELETE), child_names=(names.redis_name,))
PERSISTENT_VOLUME_CLAIM: Final = Kind(
    *("PersistentVolumeClaim", "", "v1", "persistentvolumeclaims"),
    verbs=(*WATCH, *APPLY, *DELETE),
    child_names=(names.redis_name,),
    holds_data=True,
)

CHILD_KINDS: Final = (
    DEPLOYMENT,
    STATEFUL_SET,
    SERVICE,
    SERVICE_ACCOUNT,
    CONFIG_MAP,
    POD_DISRUPTION_BUDGET,
    HORIZONTAL_POD_AUTOSCALER,
    SCALED_OBJECT,
    SECRET,
    PERSISTENT_VOLUME_CLAIM,
)

POD: Final = Kind(*("Pod", "", "v1", "pods"), verbs=("list", "watch", "patch"))
"""No child: the pods of our workloads, which are watched and annotated."""

KINDS: Final = (*CHILD_KINDS, POD)

BY_NAME: Final[Mapping[str, Kind]] = {kind.name: kind for kind in KINDS}
AUTOSCALERS: Final = frozenset(kind.name for kind in KINDS if kind.autoscaler)
WORKLOADS: Final = frozenset(kind.name for kind in KINDS if kind.has_pods)
PRUNABLE: Final = frozenset(kind.name for kind in KINDS if kind.prunable)


def list_keys(kind: str) -> ListKeys:
    return {**METADATA_LIST_KEYS, **BY_NAME[kind].list_keys}
