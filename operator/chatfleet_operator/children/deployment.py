"""The Deployment of the API pods.

Only what is in the pod template restarts pods. The runtime configuration is a mounted file, and keys are mounted files
of optional sources, so that pods always boot and get a key when it appears.
"""

import hashlib
from copy import deepcopy
from typing import Final

from chatfleet_contract import names
from chatfleet_contract.spec import ChatDeploymentSpec, Streaming
from chatfleet_contract.spec.credentials import WorkloadIdentity
from chatfleet_contract.spec.egress import Egress
from chatfleet_contract.spec.secrets import ConfigMapKeyRef, SecretKeyRef
from chatfleet_contract.spec.tool_servers import HeadersFrom
from chatfleet_operator.children import documents
from chatfleet_operator.children.context import BuildContext
from chatfleet_operator.children.kinds import DEPLOYMENT
from chatfleet_operator.children.labels import Owner, labels, new_child, selector
from chatfleet_operator.children.pod import (
    READ_ONLY,
    container_security,
    http_probe,
    last_words,
    pod_security,
    pull_secrets,
    scheduling,
    spread,
)
from chatfleet_operator.children.revision import template_inputs_hash
from chatfleet_operator.model.values import Manifest

APISERVER: Final = "apiserver"
APISERVER_TOKEN_SECONDS: Final = 3600
EXIT_SECONDS: Final = 10
"""Time of a pod, beyond its drain and its longest stream, to finish its last call and to close its connections."""


RESOURCES: Final[Manifest] = {"requests": {"cpu": "50m", "memory": "128Mi"}}
"""Unless the spec sets some: a pod without requests is the first to be evicted when memory of its node is short."""


def redis_secret(name: str, spec: ChatDeploymentSpec) -> SecretKeyRef:
    """Return the key with the URL of Redis, managed or not."""
    return spec.redis.url_secret_ref or SecretKeyRef(name=names.redis_name(name), key=names.REDIS_SECRET_URL)


def _secret_source(ref: SecretKeyRef, file: str) -> Manifest:
    return {"secret": _file(ref, file)}


def _identity_source(provider: str, identity: WorkloadIdentity) -> Manifest:
    """Return the mount of a token of the ServiceAccount, which the kubelet requests and replaces."""
    path = names.identity_token_file(provider).removeprefix(f"{names.SECRETS_DIR}/")
    token = {"audience": identity.token_audience, "expirationSeconds": identity.lifetime_seconds, "path": path}
    return {"serviceAccountToken": token}


def _identities(spec: ChatDeploymentSpec) -> list[tuple[str, WorkloadIdentity]]:
    """Return the providers that authenticate by the ServiceAccount's token."""
    return [(each.name, each.credentials.workload_identity) for each in spec.providers if each.credentials]


def _bundle_sources(egress: Egress) -> list[Manifest]:
    """Return the mount of the CA bundle, from a Secret or a ConfigMap; nothing where there is none."""
    bundle = egress.ca_bundle_ref
    if bundle is None:
        return []
    if bundle.secret_key_ref:
        return [_secret_source(bundle.secret_key_ref, names.CA_BUNDLE_FILE)]
    return [{"configMap": _file(bundle.config_map_key_ref, names.CA_BUNDLE_FILE)}] if bundle.config_map_key_ref else []


def _archive_sources(spec: ChatDeploymentSpec) -> list[Manifest]:
    """Return the mount of the URL of PostgreSQL; nothing without an archive."""
    archive = spec.conversations.archive
    return [_secret_source(archive.postgres_url_secret_ref, names.ARCHIVE_URL_FILE)] if archive else []


def _file(ref: SecretKeyRef | ConfigMapKeyRef, file: str) -> Manifest:
    path = file.removeprefix(f"{names.SECRETS_DIR}/")
    return {"name": ref.name, "optional": True, "items": [{"key": ref.key, "path": path}]}


def _volumes(name: str, spec: ChatDeploymentSpec) -> list[Manifest]:
    keys = [
        _secret_source(provider.api_key_secret_ref, names.api_key_file(provider.name))
        for provider in spec.providers
        if provider.api_key_secret_ref
    ]
    redis = _secret_source(redis_secret(name, spec), names.REDIS_URL_FILE)
    bundle = _bundle_sources(spec.egress)
    tokens = [_identity_source(name, identity) for name, identity in _identities(spec)]
    sources = [*keys, *tokens, redis, *_archive_sources(spec), *bundle]
    return [
        {"name": "config", "configMap": {"name": names.config_name(name), "defaultMode": READ_ONLY}},
        {"name": "secrets", "projected": {"defaultMode": READ_ONLY, "sources": sources}},
        {"name": "tmp", "emptyDir": {}},
        *_access_volumes(spec),
        *documents.volumes(spec),
        *[_webhook_volume(index, secret) for index, secret in enumerate(_webhook_secrets(spec))],
        *[_whole_secret(f"tools-{name}", headers.secret_ref.name) for name, headers in _tool_headers(spec)],
    ]


def _access_volumes(spec: ChatDeploymentSpec) -> list[Manifest]:
    """Return a volume for each Secret with API keys, whose files follow the keys that are added and removed."""
    return [_whole_secret(f"access-{index}", secret) for index, secret in enumerate(spec.access.key_secrets)] + (
        [_apiserver_volume()] if spec.access.reviews_tokens else []
    )


def _whole_secret(volume: str, secret: str) -> Manifest:
    sources = [{"secret": {"name": secret, "optional": True}}]
    return {"name": volume, "projected": {"defaultMode": READ_ONLY, "sources": sources}}


def _tool_headers(spec: ChatDeploymentSpec) -> list[tuple[str, HeadersFrom]]:
    """Return the tool servers that get headers from a Secret."""
    return [(server.name, server.mcp.headers_from) for server in spec.tool_servers if server.mcp.headers_from]


def _webhook_secrets(spec: ChatDeploymentSpec) -> tuple[str, ...]:
    """Return the names of the Secrets with signing secrets, each once."""
    return tuple(dict.fromkeys(webhook.secret_ref.name for webhook in spec.webhooks))


def _webhook_volume(index: int, secret: str) -> Manifest:
    sources = [{"secret": {"name": secret, "optional": True}}]
    return {"name": f"webhooks-{index}", "projected": {"defaultMode": READ_ONLY, "sources": sources}}


def _webhook_mounts(spec: ChatDeploymentSpec) -> list[Manifest]:
    return [
        {"name": f"webhooks-{index}", "mountPath": names.webhook_secrets_dir(secret), "readOnly": True}
        for index, secret in enumerate(_webhook_secrets(spec))
    ]


def _apiserver_volume() -> Manifest:
    """Return what reaches the API server, for pods that ask it about tokens, and for no others."""
    token = {"expirationSeconds": APISERVER_TOKEN_SECONDS, "path": _within(names.APISERVER_TOKEN_FILE)}
    roots = [{"key": "ca.crt", "path": _within(names.APISERVER_CA_FILE)}]
    sources = [{"serviceAccountToken": token}, {"configMap": {"name": "kube-root-ca.crt", "items": roots}}]
    return {"name": APISERVER, "projected": {"defaultMode": READ_ONLY, "sources": sources}}


def _within(file: str) -> str:
    return file.removeprefix(f"{names.APISERVER_DIR}/")


def _access_mounts(spec: ChatDeploymentSpec) -> list[Manifest]:
    return [
        {"name": f"access-{index}", "mountPath": names.access_keys_dir(secret), "readOnly": True}
        for index, secret in enumerate(spec.access.key_secrets)
    ] + (
        [{"name": APISERVER, "mountPath": names.APISERVER_DIR, "readOnly": True}] if spec.access.reviews_tokens else []
    )


def _header_secrets(spec: ChatDeploymentSpec) -> list[tuple[str, str]]:
    return [(name, headers.secret_ref.name) for name, headers in _tool_headers(spec)]


def _drain_token(owner: Owner) -> str:
    """Return a secret of a pod and its kubelet: readable with rights on pods, and not by reaching a port."""
    return hashlib.sha256(f"{names.PATH_DRAIN} {owner.uid}".encode()).hexdigest()


def _drain(streaming: Streaming, token: str) -> Manifest:
    """Return the preStop hook that begins the drain, and returns after `drainSeconds`."""
    if not streaming.drain_seconds:
        return {}
    headers = [{"name": names.HEADER_DRAIN, "value": token}]
    request = {"path": names.PATH_DRAIN, "port": names.PORT_NAME_HEALTH, "httpHeaders": headers}
    return {"lifecycle": {"preStop": {"httpGet": request}}}


def _container(spec: ChatDeploymentSpec, default_image: str, drain_token: str) -> Manifest:
    template = spec.template
    return {
        "name": names.CONTAINER_API,
        "image": template.image or default_image,
        "imagePullPolicy": "IfNotPresent",
        "ports": [
            {"name": names.PORT_NAME_SERVING, "containerPort": names.PORT_SERVING, "protocol": "TCP"},
            {"name": names.PORT_NAME_HEALTH, "containerPort": names.PORT_HEALTH, "protocol": "TCP"},
        ],
        "env": [
            {"name": names.ENV_CONFIG_FILE, "value": names.CONFIG_FILE},
            {"name": names.ENV_POD_NAME, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": names.ENV_DRAIN_TOKEN, "value": drain_token},
            *deepcopy(template.env),
        ],
        "volumeMounts": [
            {"name": "config", "mountPath": names.CONFIG_DIR, "readOnly": True},
            {"name": "secrets", "mountPath": names.SECRETS_DIR, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  # the pod's own
            *_access_mounts(spec),
            *documents.mounts(spec),
            *_webhook_mounts(spec),
            *[
                {"name": f"tools-{name}", "mountPath": names.tool_headers_dir(name), "readOnly": True}
                for name, _ in _tool_headers(spec)
            ],
        ],
        "resources": deepcopy(template.resources or RESOURCES),
        "securityContext": container_security(),
        **last_words(),
        "startupProbe": http_probe(names.PATH_STARTUP, names.PORT_NAME_HEALTH, period=1, failures=60),
        "livenessProbe": http_probe(names.PATH_LIVE, names.PORT_NAME_HEALTH, period=10, failures=3),
        "readinessProbe": http_probe(names.PATH_READY, names.PORT_NAME_HEALTH, period=2, failures=3),
        **_drain(spec.streaming, drain_token),
    }


def _pod_spec(owner: Owner, spec: ChatDeploymentSpec, default_image: str) -> Manifest:
    name, streaming = owner.ref.name, spec.streaming
    own_selector = selector(name, names.COMPONENT_API)
    return {
        "serviceAccountName": name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        "terminationGracePeriodSeconds": streaming.drain_seconds + streaming.max_stream_seconds + EXIT_SECONDS,
        "topologySpreadConstraints": deepcopy(spec.template.topology_spread_constraints) or spread(own_selector),
        **scheduling(spec.template),
        **pull_secrets(spec.template),
        "containers": [_container(spec, default_image, _drain_token(owner))],
        "volumes": _volumes(name, spec),
    }


def _replicas(spec: ChatDeploymentSpec, *, deployed: bool) -> Manifest:
    """Return the number of pods where the operator sets it: with autoscaling, only for a new Deployment."""
    if spec.suspend:
        return {"replicas": 0}
    if spec.autoscaling is None:
        return {"replicas": spec.replicas}
    return {} if deployed else {"replicas": spec.autoscaling.min_replicas}


def build(context: BuildContext) -> tuple[Manifest, ...]:
    """Return the Deployment: a new pod is ready before an old one is removed."""
    name, spec = context.ref.name, context.spec
    manifest = new_child(context.owner, DEPLOYMENT, name, names.COMPONENT_API)
    tokens = [(each, identity.token_audience, identity.lifetime_seconds) for each, identity in _identities(spec)]
    manifest["metadata"]["annotations"] = template_inputs_hash(
        template=spec.template.model_dump(mode="json", exclude_defaults=True),
        streaming=spec.streaming.model_dump(include={"drain_seconds", "max_stream_seconds"}, exclude_defaults=True),
        keys=[(each.name, each.api_key_secret_ref.document()) for each in spec.providers if each.api_key_secret_ref],
        redis=redis_secret(name, spec).document(),
        **({"identity_tokens": tokens} if tokens else {}),
        **({"ca_bundle": spec.egress.ca_bundle_ref.document()} if spec.egress.ca_bundle_ref else {}),
        **({"archive": archive.document()} if (archive := spec.conversations.archive) else {}),
        **({"access": access} if (access := spec.access.key_secrets) else {}),
        **documents.inputs(spec),
        **({"webhooks": webhooks} if (webhooks := _webhook_secrets(spec)) else {}),
        **({"tool_headers": headers} if (headers := _header_secrets(spec)) else {}),
        **({"reviews_tokens": True} if spec.access.reviews_tokens else {}),
    )
    manifest["spec"] = {
        **_replicas(spec, deployed=context.live.deployed),
        "selector": {"matchLabels": selector(name, names.COMPONENT_API)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {
            "metadata": {
                "labels": {
                    **spec.template.labels,
                    **labels(name, names.COMPONENT_API),
                    names.LABEL_TRAFFIC: names.TRAFFIC,
                },
                "annotations": dict(spec.template.annotations),
            },
            "spec": _pod_spec(context.owner, spec, context.defaults.api_image),
        },
    }
    return (manifest,)
