"""Names that several processes, the chart and users of kubectl depend on, each defined once.

A changed value is a breaking change for existing objects.
"""

import hashlib
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
"""Field manager of server-side apply: the operator owns the fields that it applies under this name."""

# Labels. The first two are the selector of a child and must not change after creation.
LABEL_DEPLOYMENT: Final = f"{GROUP}/deployment"
"""Name of the ChatDeployment that owns the object."""
LABEL_COMPONENT: Final = f"{GROUP}/component"
"""`api`, `activator` or `redis`."""
LABEL_TRAFFIC: Final = f"{GROUP}/traffic"
"""On pods of the API and of the activator: the Service selects by it."""
TRAFFIC: Final = "true"
LABEL_ALLOWED: Final = f"{GROUP}/allowed"
"""On a Secret, set by users: `true`, or the name of the one ChatDeployment that may use it."""
LABEL_NAME: Final = "app.kubernetes.io/name"
LABEL_INSTANCE: Final = "app.kubernetes.io/instance"
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "chatfleet"

COMPONENT_API: Final = "api"
COMPONENT_ACTIVATOR: Final = "activator"
COMPONENT_REDIS: Final = "redis"

ANNOTATION_LAST_APPLIED_HASH: Final = f"{GROUP}/last-applied-hash"
"""On children: digest of the manifest that the operator last applied."""
ANNOTATION_OPERATOR: Final = f"{GROUP}/operator-namespace"
"""On children: namespace of the operator that last applied them, by which two operators recognize each other."""
ANNOTATION_TEMPLATE_INPUTS_HASH: Final = f"{GROUP}/template-inputs-hash"
"""On workloads: digest of the fields of the ChatDeployment that determine their pod template."""
ANNOTATION_LAST_APPLIED_TEMPLATE: Final = f"{GROUP}/last-applied-template"
"""On workloads: the pod template that was last applied, which the operator keeps until its inputs change."""
ANNOTATION_RECONCILE: Final = f"{GROUP}/reconcile"
RECONCILE_PAUSED: Final = "paused"
"""Value with which the operator writes nothing for a ChatDeployment but its status."""

ANNOTATION_TEMPLATE_REVISION: Final = f"{GROUP}/template-revision"
"""On a ChatDeployment, set by users: adopt the newest pod templates, once (a revision) or always (`latest`)."""
REVISION_LATEST: Final = "latest"
RESOURCE_ANNOTATIONS: Final = (ANNOTATION_RECONCILE, ANNOTATION_TEMPLATE_REVISION)
"""All that have an effect on a ChatDeployment."""
ANNOTATION_CONFIG_HASH: Final = f"{GROUP}/config-hash"
"""On pods: digest of the current runtime configuration. A change makes the kubelet refresh the mount at once."""
ANNOTATION_SECRETS_HASH: Final = f"{GROUP}/secrets-hash"
"""On pods: digest of the versions of their mounted Secrets. A change makes the kubelet refresh the mount at once."""
POD_DELETION_COST: Final = "controller.kubernetes.io/pod-deletion-cost"
"""On pods, defined by Kubernetes: a scale-down deletes the pods with the lowest cost first."""
ANNOTATION_DELETION_COST_TIME: Final = f"{GROUP}/deletion-cost-time"
"""On pods: time of the last write of the deletion cost, which limits the rate of writes."""
ANNOTATION_RETRY_TIME: Final = f"{GROUP}/retry-time"
"""On workloads, volume claims and pods: when the operator last made their controllers and kubelets retry at once."""
ANNOTATION_REDIS_SECRET: Final = f"{GROUP}/redis-secret"
"""On the pod template of the managed Redis: uid of the password Secret, so that a new password restarts Redis."""

METRICS_GROUP: Final = "custom.metrics.k8s.io"
"""The API from which a HorizontalPodAutoscaler reads metrics of pods."""
METRICS_VERSIONS: Final = ("v1beta2", "v1beta1")
"""Its versions, the preferred one first."""
METRICS_APIS: Final = tuple(f"{version}.{METRICS_GROUP}" for version in METRICS_VERSIONS)
"""The APIServices of that API. Ours have the label `managed-by` of Chatfleet."""
METRICS_APISERVER: Final = "chatfleet-metrics-apiserver"
"""Default name of the objects of the metrics API server."""

# Ports of an API pod.
PORT_SERVING: Final = 8000
PORT_HEALTH: Final = 8001
PORT_ADMIN: Final = 8002
"""Open only while `spec.access.admin` names someone; no Service has it."""
PORT_NAME_SERVING: Final = "http"
PORT_NAME_HEALTH: Final = "health"
CONTAINER_API: Final = "api"
"""The container of an API pod."""
PATH_LIVE: Final = "/live"
"""Liveness probe: of every process."""
PATH_READY: Final = "/ready"
"""Readiness probe: of every process."""
PATH_STARTUP: Final = "/startup"
"""Startup probe of API pods and activator."""
PATH_HEALTH: Final = "/health"
"""The report of an API pod (`report.PodReport`), for the operator."""
PATH_METRICS: Final = "/metrics"
"""Metrics in Prometheus' text format: of every process."""
PATH_DRAIN: Final = "/drain"
"""On the health port of an API pod, for the preStop hook: starts the drain and returns after `drainSeconds`."""
HEADER_DRAIN: Final = "x-chatfleet-drain"
"""Header of that request: must equal the pod's `ENV_DRAIN_TOKEN`."""
PATH_QUEUE: Final = "/queue"
"""On the health port of the activator: `{"waiting": 3}`, for KEDA."""
HEADER_PROBE: Final = "x-chatfleet-probe"
"""Header of the operator's request through the Service: `probe_token`, with which a pod lists its models."""
PORT_REDIS: Final = 6379

# Files inside an API pod.
CONFIG_DIR: Final = "/etc/chatfleet/config"
CONFIG_KEY: Final = "runtime.json"
CONFIG_FILE: Final = f"{CONFIG_DIR}/{CONFIG_KEY}"
SECRETS_DIR: Final = "/etc/chatfleet/secrets"
REDIS_URL_FILE: Final = f"{SECRETS_DIR}/redis/url"
ARCHIVE_URL_FILE: Final = f"{SECRETS_DIR}/archive/url"
CA_BUNDLE_FILE: Final = f"{SECRETS_DIR}/egress/ca-bundle.pem"
APISERVER_DIR: Final = "/etc/chatfleet/apiserver"
"""With what pods reach the API server by, where `spec.access.serviceAccounts` is strict."""
APISERVER_TOKEN_FILE: Final = f"{APISERVER_DIR}/token"
APISERVER_CA_FILE: Final = f"{APISERVER_DIR}/ca.crt"
APISERVER_URL: Final = "https://kubernetes.default.svc"
TOOLS_DIR: Final = "/etc/chatfleet/tools"
"""With a folder for each tool server of `spec.toolServers` that has headers."""
WEBHOOKS_DIR: Final = "/etc/chatfleet/webhooks"
ACCESS_DIR: Final = "/etc/chatfleet/access"
"""With a folder for each Secret of `spec.access.apiKeys`."""

KNOWLEDGE_DIR: Final = "/etc/chatfleet/knowledge"
"""With a folder for each ConfigMap with documents, and folders for what else belongs to knowledge.

Their names begin with a dot, which that of a ConfigMap cannot.
"""
KNOWLEDGE_TOKENS: Final = ".tokens"
"""Folder with tokens for ChromaDB, by Secret and key."""
KNOWLEDGE_VOLUMES: Final = ".volumes"
"""Folder with volumes with documents, by claim."""

# Keys of the Secret of a managed Redis.
REDIS_SECRET_PASSWORD: Final = "password"  # a key's name, not a secret
REDIS_SECRET_URL: Final = "url"  # a key's name, not a secret

HEADER_CONFIG: Final = "x-chatfleet-config"
"""Header of every response of an API pod: digest of the runtime configuration that served it."""


# Environment of an API pod.
ENV_CONFIG_FILE: Final = "CHATFLEET_CONFIG_FILE"
ENV_POD_NAME: Final = "CHATFLEET_POD_NAME"
ENV_DRAIN_TOKEN: Final = "CHATFLEET_DRAIN_TOKEN"  # the variable's name, not a secret

ENV_ACTIVATOR: Final = "CHATFLEET_ACTIVATOR"
"""Environment of the activator: its configuration as JSON (`runtime.ActivatorConfig`)."""


def api_key_file(provider: str) -> str:
    """Path inside an API pod of the file with the API key of `provider`."""
    return f"{SECRETS_DIR}/providers/{provider}/api-key"


def webhook_secrets_dir(secret: str) -> str:
    """Return the folder with the signing secrets of a Secret."""
    return f"{WEBHOOKS_DIR}/{secret}"


def access_keys_dir(secret: str) -> str:
    """Path inside an API pod of the folder with the API keys of a Secret of `spec.access.apiKeys`."""
    return f"{ACCESS_DIR}/{secret}"


def knowledge_dir(config_map: str) -> str:
    """Path inside an API pod of the folder with the documents of a ConfigMap of `knowledge.sources`."""
    return f"{KNOWLEDGE_DIR}/{config_map}"


def knowledge_volume_dir(claim: str) -> str:
    """Path inside an API pod of the volume of a claim of `knowledge.sources`."""
    return f"{KNOWLEDGE_DIR}/{KNOWLEDGE_VOLUMES}/{claim}"


def chroma_token_path(secret: str, key: str) -> str:
    """Path of the file with a token for ChromaDB, below the folder of knowledge."""
    return f"{KNOWLEDGE_TOKENS}/{secret}/{key}"


def tool_headers_dir(server: str) -> str:
    """Path inside an API pod of the folder with the headers of a tool server: one a file."""
    return f"{TOOLS_DIR}/{server}"


def probe_token(uid: str) -> str:
    """Return the credential of the operator's own request, which lists the models of the ChatDeployment with `uid`.

    Whoever can read the uid can read the models of the ChatDeployment, too.
    """
    return hashlib.sha256(f"GET /v1/models {uid}".encode()).hexdigest()


def identity_token_file(provider: str) -> str:
    """Path inside an API pod of the file with the ServiceAccount's token for `provider`."""
    return f"{SECRETS_DIR}/providers/{provider}/identity-token"


def config_name(deployment: str) -> str:
    """Name of the ConfigMap with the runtime configuration."""
    return f"{deployment}-runtime"


def redis_name(deployment: str) -> str:
    """Name of the managed Redis' StatefulSet, Service and Secret."""
    return f"{deployment}-redis"


def pods_name(deployment: str) -> str:
    """Name of the Service that selects only the API pods, without the activator."""
    return f"{deployment}-pods"


def activator_name(deployment: str) -> str:
    """Name of the activator's Deployment and Service."""
    return f"{deployment}-activator"
