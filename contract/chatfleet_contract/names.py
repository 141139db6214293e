"""Every name that more than one process, the chart or a person with kubectl relies on, written once.

Changing a value here is a breaking change for objects that exist in clusters.
"""

from typing import Final

GROUP: Final = "chatfleet.io"
"""API group of the custom resource."""

VERSION: Final = "v1beta1"
"""The one served and stored version."""

API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "ChatDeployment"
PLURAL: Final = "chatdeployments"
SINGULAR: Final = "chatdeployment"
SHORT_NAMES: Final = ("chatdep", "cdep")
CATEGORIES: Final = ("all", "chatfleet")

FIELD_MANAGER: Final = "chatfleet-operator"
"""Server-side apply manager: the operator owns exactly the fields it applies under this name."""

# Labels. The first two are the whole selector of a child; they never change after creation.
LABEL_DEPLOYMENT: Final = f"{GROUP}/deployment"
"""Name of the ChatDeployment an object belongs to."""
LABEL_COMPONENT: Final = f"{GROUP}/component"
"""`api`, `activator` or `redis`."""
LABEL_TRAFFIC: Final = f"{GROUP}/traffic"
"""On pods that callers' requests may go to: those of the API and the waiting room. The Service selects by it."""
TRAFFIC: Final = "true"
LABEL_NAME: Final = "app.kubernetes.io/name"
LABEL_INSTANCE: Final = "app.kubernetes.io/instance"
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "chatfleet"

COMPONENT_API: Final = "api"
COMPONENT_ACTIVATOR: Final = "activator"
COMPONENT_REDIS: Final = "redis"

ANNOTATION_LAST_APPLIED_HASH: Final = f"{GROUP}/last-applied-hash"
"""Digest of the manifest the operator last applied to this child."""
ANNOTATION_TEMPLATE_INPUTS_HASH: Final = f"{GROUP}/template-inputs-hash"
"""On workloads: digest of all that the ChatDeployment says about their pods."""
ANNOTATION_LAST_APPLIED_TEMPLATE: Final = f"{GROUP}/last-applied-template"
"""On workloads: the pod template that was last applied, to which the operator holds."""
ANNOTATION_TEMPLATE_REVISION: Final = f"{GROUP}/template-revision"
"""On a ChatDeployment, by its owner: the newest pod templates are wanted, once by their revision, or always."""
REVISION_LATEST: Final = "latest"
ANNOTATION_CONFIG_HASH: Final = f"{GROUP}/config-hash"
"""On pods: digest of the runtime configuration the operator wants served.

Touching it makes the kubelet refresh the mount at once."""
POD_DELETION_COST: Final = "controller.kubernetes.io/pod-deletion-cost"
"""On pods, of Kubernetes: the lowest go first when there are to be fewer."""
ANNOTATION_DELETION_COST_TIME: Final = f"{GROUP}/deletion-cost-time"
"""On pods: when that was last written, so that it is not written often."""
ANNOTATION_REDIS_SECRET: Final = f"{GROUP}/redis-secret"
"""On the managed Redis' pod template: identity of the password Secret, so that a new password restarts Redis."""

METRICS_GROUP: Final = "custom.metrics.k8s.io"
"""The API by which a horizontal pod autoscaler asks for the metrics of pods."""
METRICS_VERSIONS: Final = ("v1beta2", "v1beta1")
"""Its versions, the preferred one first."""
METRICS_APIS: Final = tuple(f"{version}.{METRICS_GROUP}" for version in METRICS_VERSIONS)
"""The APIServices by which a cluster knows who serves the metrics of pods. Ours carry our `managed-by`."""
METRICS_APISERVER: Final = "chatfleet-metrics-apiserver"
"""Name of the adapter's objects, unless the release says otherwise."""

# Ports of an API pod.
PORT_SERVING: Final = 8000
PORT_HEALTH: Final = 8001
PORT_NAME_SERVING: Final = "http"
PORT_NAME_HEALTH: Final = "health"
CONTAINER_API: Final = "api"
"""The container of an API pod."""
PATH_DRAIN: Final = "/drain"
"""On the health port of an API pod: its last hour has come, and it answers when load balancers may forget it."""
HEADER_DRAIN: Final = "x-chatfleet-drain"
"""Header of that request: the pod's own `ENV_DRAIN_TOKEN`, or nobody listens."""
PATH_QUEUE: Final = "/queue"
"""On the health port of a waiting room: `{"waiting": 3}`, for KEDA."""
PORT_REDIS: Final = 6379

# Files inside an API pod.
CONFIG_DIR: Final = "/etc/chatfleet/config"
CONFIG_KEY: Final = "runtime.json"
CONFIG_FILE: Final = f"{CONFIG_DIR}/{CONFIG_KEY}"
SECRETS_DIR: Final = "/etc/chatfleet/secrets"
REDIS_URL_FILE: Final = f"{SECRETS_DIR}/redis/url"

# Keys of the Secret that the operator makes for a managed Redis.
REDIS_SECRET_PASSWORD: Final = "password"  # a key's name, not a secret
REDIS_SECRET_URL: Final = "url"  # a key's name, not a secret

HEADER_CONFIG: Final = "x-chatfleet-config"
"""Header of every answer of an API pod: digest of the runtime configuration that served it."""


# Environment of an API pod.
ENV_CONFIG_FILE: Final = "CHATFLEET_CONFIG_FILE"
ENV_POD_NAME: Final = "CHATFLEET_POD_NAME"
ENV_DRAIN_TOKEN: Final = "CHATFLEET_DRAIN_TOKEN"  # the variable's name, not a secret

ENV_ACTIVATOR: Final = "CHATFLEET_ACTIVATOR"
"""Environment of a waiting room: all that it needs to know, as JSON (`runtime.ActivatorConfig`)."""


def api_key_file(provider: str) -> str:
    """Path inside an API pod of the file that holds the API key of `provider`."""
    return f"{SECRETS_DIR}/providers/{provider}/api-key"


def config_name(deployment: str) -> str:
    """Name of the ConfigMap with the runtime configuration."""
    return f"{deployment}-runtime"


def redis_name(deployment: str) -> str:
    """Name of the managed Redis' StatefulSet, Service and Secret."""
    return f"{deployment}-redis"


def pods_name(deployment: str) -> str:
    """Name of the Service that leads to the API pods alone, and to nobody while there are none."""
    return f"{deployment}-pods"


def activator_name(deployment: str) -> str:
    """Name of the waiting room's Deployment and Service."""
    return f"{deployment}-activator"
