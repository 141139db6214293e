"""The API server, spoken to as plainly as it allows: JSON objects, server-side apply, one place that reads its errors.

The only package that imports the Kubernetes client. Of the client it uses the configuration (kubeconfig or service
account, tokens that renew themselves) and the connection; no API group is imported and nothing is discovered.
"""

from chatfleet_operator.kube.cluster import KubernetesCluster
from chatfleet_operator.kube.connection import APPLY, Access, Connection, NotFound, connect
from chatfleet_operator.kube.events import KubernetesEvents
from chatfleet_operator.kube.lease import KubernetesLease
from chatfleet_operator.kube.list_watch import Reflector, Watched
from chatfleet_operator.kube.rbac import (
    CLUSTER_RULES,
    LEASE_RULES,
    METRICS_RULES,
    METRICS_SECRET_RULES,
    RULES,
    Rule,
)
from chatfleet_operator.kube.relist import list_chatdeployments

__all__ = [
    "APPLY",
    "CLUSTER_RULES",
    "LEASE_RULES",
    "METRICS_RULES",
    "METRICS_SECRET_RULES",
    "RULES",
    "Access",
    "Connection",
    "KubernetesCluster",
    "KubernetesEvents",
    "KubernetesLease",
    "NotFound",
    "Reflector",
    "Rule",
    "Watched",
    "connect",
    "list_chatdeployments",
]
