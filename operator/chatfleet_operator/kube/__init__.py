"""The API server: JSON objects, server-side apply, one function that translates its errors.

connection    requests, paths and errors; the connection pool       cluster    `ports.Cluster`
events        Events, ours and of others                             lease      where the leader's Lease is
list_watch    lists in pages, and one watch                         relist     every ChatDeployment, for missed events
rbac          the rights that the code needs                         token_issuer  who signs tokens

The only package that imports the Kubernetes client: its configuration (kubeconfig or service account, tokens that are
renewed) and its connection. No API group is imported, and there is no discovery.
"""

from chatfleet_operator.kube.cluster import KubernetesCluster
from chatfleet_operator.kube.connection import APPLY, MERGE, Access, Connection, NotFound, connect
from chatfleet_operator.kube.events import KubernetesEvents
from chatfleet_operator.kube.lease import KubernetesLease
from chatfleet_operator.kube.list_watch import Reflector, Watched
from chatfleet_operator.kube.rbac import (
    CLUSTER_RULES,
    LEASE_RULES,
    METRICS_ON_DEMAND_RULES,
    METRICS_RULES,
    METRICS_SCALE_RULES,
    METRICS_SECRET_RULES,
    RULES,
    Rule,
)
from chatfleet_operator.kube.relist import list_chatdeployments

__all__ = [
    "APPLY",
    "CLUSTER_RULES",
    "LEASE_RULES",
    "MERGE",
    "METRICS_ON_DEMAND_RULES",
    "METRICS_RULES",
    "METRICS_SCALE_RULES",
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
