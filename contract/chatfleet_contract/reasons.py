"""What each reason means in each condition. Data without code."""

from collections.abc import Mapping
from typing import Final

from chatfleet_contract.status import ConditionType, Reason

REASONS: Final[Mapping[ConditionType, Mapping[Reason, str]]] = {
    ConditionType.READY: {
        Reason.SERVING: "A request through the Service was answered with the current configuration.",
        Reason.SUSPENDED: "`spec.suspend` is true.",
        Reason.SCALED_TO_ZERO: "`spec.replicas` is 0, or the Deployment is, although `minReplicas` is above 0.",
        Reason.ASLEEP: "The autoscaler has scaled to 0 replicas, and a request that the activator holds starts a pod.",
        Reason.ACTIVATING: "No API pod is ready yet, and the activator holds requests until one is.",
        Reason.NO_READY_PODS: "No API pod is ready.",
        Reason.UPDATING: "A rollout is in progress, and an earlier generation may serve requests.",
        Reason.REQUEST_FAILED: "Pods are ready, but a request through the Service failed.",
        Reason.BLOCKED: "The condition named in the message is not True, and requests may fail.",
    },
    ConditionType.AVAILABLE: {
        Reason.SERVING: "A request through the Service was answered, by pods of any generation.",
        Reason.SUSPENDED: "`spec.suspend` is true.",
        Reason.SCALED_TO_ZERO: "`spec.replicas` is 0, or the Deployment is, although `minReplicas` is above 0.",
        Reason.ASLEEP: "The autoscaler has scaled to 0 replicas, and the activator holds requests.",
        Reason.ACTIVATING: "No API pod is ready, and the activator or a pod that drains accepts requests.",
        Reason.NO_READY_PODS: "No API pod is ready.",
        Reason.REQUEST_FAILED: "Pods are ready, but a request through the Service failed.",
        Reason.BLOCKED: "No ready pod can use Redis or an upstream; Unknown: no pod has reported on them.",
    },
    ConditionType.PROGRESSING: {
        Reason.PAUSED: "The annotation `chatfleet.io/reconcile` is `paused`; the message states since when.",
        Reason.CONFLICT: "Another client changes or deletes a child object again after each repair.",
        Reason.ROLLING_OUT: "Pods of the current generation are not complete.",
        Reason.COMPLETE: "All pods run the current generation.",
        Reason.DEADLINE_EXCEEDED: "The Deployment made no progress within its deadline.",
        Reason.FAILED_CREATE: "The API server does not admit a pod: quota, LimitRange, PriorityClass, or a policy.",
        Reason.VOLUME_UNAVAILABLE: "The volume claim of the managed Redis is pending, is being deleted, or is lost.",
        Reason.UNSCHEDULABLE: "No node fits a pod; the message is that of the scheduler.",
        Reason.IMAGE_PULL_FAILED: "The image of a pod cannot be pulled, or its name is invalid.",
        Reason.CREATE_CONTAINER_FAILED: "A container cannot be created; the message is that of the kubelet.",
        Reason.CRASH_LOOP_BACK_OFF: "A container ends after each start; the message has the end of its log.",
        Reason.OOM_KILLED: "A container ended because it exceeded its memory limit.",
        Reason.NODE_LOST: "The node of a pod does not report.",
        Reason.BLOCKED: "The spec is invalid, or a workload cannot be written: it is not rolled out.",
    },
    ConditionType.CONFIGURATION_VALID: {
        Reason.VALID: "The spec, its Secrets and all child objects are accepted.",
        Reason.INVALID_SPEC: "The operator or a pod cannot parse the spec.",
        Reason.NOT_OWNED: "An object with the name of a child exists that the ChatDeployment does not control.",
        Reason.CHILD_REJECTED: "The API server rejected a child object; the message is that of the API server.",
        Reason.KNOWLEDGE_UNAVAILABLE: "Documents of a model are missing or cannot be used.",
        Reason.PRICE_UNKNOWN: "A budget in USD applies, and the price of a model is not known: it is refused.",
        Reason.WEBHOOK_UNAVAILABLE: "A webhook does not accept events, or has no signing secret: its events wait.",
        Reason.VOLUME_DIFFERS: "The volume of the managed Redis cannot follow the spec, and is used unchanged.",
        Reason.FIELD_NOT_ALLOWED: "A field of the spec is ignored, because `operator.restrictTemplate` is set.",
        Reason.SECRET_NOT_ALLOWED: "A Secret lacks the label of `operator.secretsNeedLabel`, and no pod uses it.",
        Reason.INVALID_ANNOTATION: "An annotation of chatfleet.io has no effect: its name or its value is unknown.",
        Reason.SECRET_MISSING: "A Secret, or a key in it, does not exist.",
        Reason.SECRET_INVALID: "The URL of Redis in its Secret is not valid.",
        Reason.CONFIG_MAP_MISSING: "A ConfigMap with instructions of an agent, or the key in it, does not exist.",
    },
    ConditionType.REDIS_AVAILABLE: {
        Reason.CONNECTED: "Every pod that reports can use Redis; the message has what a pod could not check.",
        Reason.UNAVAILABLE: "A pod cannot use Redis; the message is that of the pod.",
        Reason.NO_POD_REPORT: "No pod has reported on Redis yet.",
    },
    ConditionType.ARCHIVE_AVAILABLE: {
        Reason.CONNECTED: "Every pod that reports can use PostgreSQL; the message has how far the archive is behind.",
        Reason.UNAVAILABLE: "A pod cannot use PostgreSQL; the message is that of the pod, and has what waits.",
        Reason.NO_POD_REPORT: "No pod has reported on PostgreSQL yet.",
    },
    ConditionType.KNOWLEDGE_AVAILABLE: {
        Reason.CONNECTED: "Every pod that reports can use its collections of ChromaDB.",
        Reason.UNAVAILABLE: "A pod cannot use a collection of ChromaDB; the message is that of the pod.",
        Reason.NO_POD_REPORT: "No pod has reported on ChromaDB yet.",
    },
    ConditionType.UPSTREAMS_AVAILABLE: {
        Reason.AVAILABLE: "Every provider responds to at least one pod, and no model that was requested fails.",
        Reason.UNAVAILABLE: "A provider responds to no pod, or requests for a model fail; the message has the cause.",
        Reason.NO_POD_REPORT: "No pod has requested a provider yet.",
    },
    ConditionType.AUTOSCALING_ACTIVE: {
        Reason.SCALING: "The autoscaler reads its metrics and sets the number of pods.",
        Reason.SCALED_TO_ZERO: "KEDA has scaled the Deployment to 0 replicas; a request starts a pod.",
        Reason.DISABLED: "`spec.autoscaling` is not set.",
        Reason.SUSPENDED: "`spec.suspend` is true.",
        Reason.AUTOSCALER_PENDING: "The autoscaler has no status yet, or the metrics API server starts on demand.",
        Reason.METRICS_UNAVAILABLE: "The autoscaler cannot read its metrics, and removes no pods; see the message.",
        Reason.METRICS_API_MISSING: (
            "No server is registered for `custom.metrics.k8s.io`, or ours has not started for a minute."
        ),
        Reason.METRICS_API_CONFLICT: (
            "Another metrics API server serves `custom.metrics.k8s.io`; pods are added on CPU, and none is removed."
        ),
        Reason.SCALING_FAILED: ("The autoscaler cannot set the number of pods; the message is that of the autoscaler."),
        Reason.KEDA_NOT_INSTALLED: "The cluster has no ScaledObject kind.",
        Reason.REJECTED: "The API server rejected the autoscaler object, or the ChatDeployment does not control it.",
        Reason.BLOCKED: "The spec is invalid: autoscaling is not updated.",
    },
    ConditionType.EXPOSED: {
        Reason.CLUSTER_IP: "The Service is of type ClusterIP: reachable inside the cluster, at `status.url`.",
        Reason.NODE_PORT: "The Service is of type NodePort; the message has the port of each node.",
        Reason.LOAD_BALANCER_READY: "The load balancer of the Service has an address: `status.externalURL`.",
        Reason.LOAD_BALANCER_PENDING: "The Service has no address of a load balancer yet.",
        Reason.LOAD_BALANCER_FAILED: "The load balancer has an error; the message is that of its controller.",
        Reason.BLOCKED: "The Service is not written as the spec has it; see ConfigurationValid.",
    },
    ConditionType.ACCESS_RESTRICTED: {
        Reason.CREDENTIALS: "Callers need a credential that `spec.access` names.",
        Reason.NO_CALLERS: "`spec.access` names no callers, and pods refuse every request.",
        Reason.ANONYMOUS: "`spec.access.anonymous` is true, and pods answer every caller.",
        Reason.NOT_ENFORCED: "A pod answers callers without a credential, because it does not use `spec.access` yet.",
        Reason.NO_POD_REPORT: "No pod has reported that it uses `spec.access`.",
        Reason.BLOCKED: "The spec is invalid: pods keep the access that they have.",
    },
    ConditionType.TESTING: {
        Reason.TEST_ROUTES: "`spec.observability.testRoutes` is true, or a pod has not read yet that it is not.",
    },
    ConditionType.RECONCILING: {
        Reason.ROLLING_OUT: "Pods of the current generation are not complete.",
        Reason.UPDATING: "The current spec is not served yet; the message has what is missing.",
    },
    ConditionType.STALLED: {
        Reason.PAUSED: "A change of the spec waits, because the ChatDeployment is paused.",
        Reason.BLOCKED: "The condition named in the message is False for 10 s, and someone must change something.",
        Reason.DEADLINE_EXCEEDED: "The Deployment made no progress within its deadline.",
    },
}
"""The possible reasons of each condition, and what each means there: `docs/reference/conditions.md` is written from it.

`docs/operations/troubleshooting.md` has a paragraph for each.
"""
