"""The rights that the code needs, no more: the chart grants exactly these, and tests compare the two.

`make crds` writes RULES to the chart; the other rules are in its templates.
"""

from typing import Final, NamedTuple

from chatfleet_contract import names
from chatfleet_operator.children.kinds import APPLY, KINDS, WATCH
from chatfleet_operator.kube.lease import LEASE_NAME


class Rule(NamedTuple):
    """Verbs on one resource of one API group."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()
    """The objects that these are limited to; none: all."""


RULES: Final = (
    Rule(names.GROUP, names.PLURAL, WATCH),
    Rule(names.GROUP, f"{names.PLURAL}/status", ("patch",)),
    # Where the API server guards owner references (OpenShift does), setting blockOwnerDeletion needs this.
    Rule(names.GROUP, f"{names.PLURAL}/finalizers", ("update",)),
    *(Rule(kind.group, kind.plural, kind.verbs) for kind in KINDS),
    Rule("events.k8s.io", "events", ("list", *APPLY)),
)
"""In every namespace that is watched."""

CLUSTER_RULES: Final = (Rule("apiregistration.k8s.io", "apiservices", ("get",), names.METRICS_APIS),)
"""In the cluster, when all of it is watched: who serves the metrics of pods. Without them, nothing is refused."""

LEASE_RULES: Final = (
    Rule("coordination.k8s.io", "leases", ("get", "update"), (LEASE_NAME,)),
    Rule("coordination.k8s.io", "leases", ("create",)),  # which cannot be limited to a name
)
"""In the operator's own namespace, where there may be the Leases of others."""

METRICS_RULES: Final = (
    Rule("", "pods", ("list", "watch")),
    Rule("authentication.k8s.io", "tokenreviews", ("create",)),
    Rule("authorization.k8s.io", "subjectaccessreviews", ("create",)),
    # By name also for `create`: server-side apply names the object that it creates.
    Rule("apiregistration.k8s.io", "apiservices", ("get", *APPLY, "delete"), names.METRICS_APIS),
    Rule("rbac.authorization.k8s.io", "clusterroles", ("get",), (names.METRICS_APISERVER,)),
)
"""Of the metrics API server, in the whole cluster. The ClusterRole is its own; a release may give it another name."""

METRICS_SECRET_RULES: Final = (Rule("", "secrets", ("get", "update"), (names.METRICS_APISERVER,)),)
"""Of the metrics API server in its own namespace; the Secret comes with the release."""

METRICS_ON_DEMAND_RULES: Final = (Rule(names.GROUP, names.PLURAL, ("list", "watch")),)
"""Of the metrics API server in the whole cluster, if it runs only while a ChatDeployment needs it."""

METRICS_SCALE_RULES: Final = (Rule("apps", "deployments/scale", ("get", "patch"), (names.METRICS_APISERVER,)),)
"""The same in its own namespace. The operator, which starts it, has the right on all Deployments by `RULES`."""
