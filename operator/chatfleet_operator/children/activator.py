"""The activator: it holds requests while the Deployment has no pod, and finds new API pods by a Service of their own.

It is in the path of requests only then: its pod is Ready while no API pod is, and the Service in front selects both
kinds. So neither the operator nor KEDA has to act for a request to reach a pod (docs/decisions/0120).
"""

from typing import Final

from chatfleet_contract import names
from chatfleet_contract.runtime import ActivatorConfig
from chatfleet_contract.spec import ChatDeploymentSpec, Observability
from chatfleet_operator.children.context import BuildContext
from chatfleet_operator.children.kinds import DEPLOYMENT, SERVICE
from chatfleet_operator.children.labels import Owner, labels, new_child, selector
from chatfleet_operator.children.pod import (
    container_security,
    http_probe,
    last_words,
    pod_security,
    pull_secrets,
    scheduling,
)
from chatfleet_operator.children.revision import template_inputs_hash
from chatfleet_operator.model.values import Manifest, Ref

EXIT_SECONDS: Final = 5
PRE_STOP_SECONDS: Final = 5
"""How long a terminating activator still accepts requests, while the Service removes its endpoint."""
PROGRESS_DEADLINE_SECONDS: Final = 2_147_483_647
"""No deadline for a rollout: an activator without work is healthy, and not Ready."""

STREAMING_FIELDS: Final = {"max_streams_per_pod", "heartbeat_seconds", "max_stream_seconds"}
"""What its pod template is built from: a change of another field must not restart the activator."""
LOG_FIELDS: Final = {"log_level", "log_format", "access_log"}
"""The same of observability: the activator passes W3C Trace Context on, and has no spans of its own."""


def may_scale_to_zero(spec: ChatDeploymentSpec) -> bool:
    """Whether there may be no API pod although requests are to be served."""
    return spec.autoscaling is not None and spec.autoscaling.min_replicas == 0 and not spec.suspend


def queue_url(ref: Ref) -> str:
    """Return the URL with the number of waiting requests."""
    return f"http://{names.activator_name(ref.name)}.{ref.namespace}.svc:{names.PORT_HEALTH}{names.PATH_QUEUE}"


def build(context: BuildContext) -> tuple[Manifest, ...]:
    owner, spec = context.owner, context.spec
    if spec.autoscaling is None or not may_scale_to_zero(spec):
        return ()
    config = _config(owner.ref, spec, spec.autoscaling.activation_timeout_seconds)
    return (_pods_service(owner), _own_service(owner), _deployment(owner, spec, context.defaults.api_image, config))


def _config(ref: Ref, spec: ChatDeploymentSpec, activation_timeout_seconds: int) -> ActivatorConfig:
    pods = f"http://{names.pods_name(ref.name)}.{ref.namespace}.svc"
    return ActivatorConfig(
        deployment=ref.name,
        pods_url=f"{pods}:{names.PORT_SERVING}",
        pods_health_url=f"{pods}:{names.PORT_HEALTH}",
        activation_timeout_seconds=activation_timeout_seconds,
        max_streams=spec.streaming.max_streams_per_pod,  # as many as the first pod takes
        heartbeat_seconds=spec.streaming.heartbeat_seconds,
        max_stream_seconds=spec.streaming.max_stream_seconds,
        observability=Observability.model_validate(spec.observability.model_dump(include=LOG_FIELDS)),
    )


def _port(name: str, number: int) -> Manifest:
    return {"name": name, "port": number, "protocol": "TCP", "targetPort": name}


def _pods_service(owner: Owner) -> Manifest:
    """Return the Service of the API pods alone. It has a cluster IP, since resolvers cache the names of single pods."""
    manifest = new_child(owner, SERVICE, names.pods_name(owner.ref.name), names.COMPONENT_API)
    manifest["spec"] = {
        "type": "ClusterIP",
        "selector": selector(owner.ref.name, names.COMPONENT_API),
        "ports": [_port(names.PORT_NAME_SERVING, names.PORT_SERVING), _port(names.PORT_NAME_HEALTH, names.PORT_HEALTH)],
    }
    return manifest


def _own_service(owner: Owner) -> Manifest:
    """Return the Service by which KEDA reads the queue, also while it is empty: no answer would be an error."""
    name = owner.ref.name
    manifest = new_child(owner, SERVICE, names.activator_name(name), names.COMPONENT_ACTIVATOR)
    manifest["spec"] = {
        "type": "ClusterIP",
        "publishNotReadyAddresses": True,
        "selector": selector(name, names.COMPONENT_ACTIVATOR),
        "ports": [_port(names.PORT_NAME_HEALTH, names.PORT_HEALTH)],
    }
    return manifest


def _container(spec: ChatDeploymentSpec, default_image: str, config: ActivatorConfig) -> Manifest:
    return {
        "name": names.COMPONENT_ACTIVATOR,
        "image": spec.template.image or default_image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["tini", "--", "python", "-m", "chatfleet_api.activator"],
        "ports": [
            {"name": names.PORT_NAME_SERVING, "containerPort": names.PORT_SERVING, "protocol": "TCP"},
            {"name": names.PORT_NAME_HEALTH, "containerPort": names.PORT_HEALTH, "protocol": "TCP"},
        ],
        "env": [{"name": names.ENV_ACTIVATOR, "value": config.render()}],
        # The process takes 60 MB, and the request bodies that it holds at most 64.
        "resources": {"requests": {"cpu": "25m", "memory": "96Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": container_security(),
        **last_words(),
        "startupProbe": http_probe(names.PATH_STARTUP, names.PORT_NAME_HEALTH, period=1, failures=60),
        "livenessProbe": http_probe(names.PATH_LIVE, names.PORT_NAME_HEALTH, period=10, failures=3),
        "readinessProbe": http_probe(names.PATH_READY, names.PORT_NAME_HEALTH, period=1, failures=1),
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}},
    }


def _deployment(owner: Owner, spec: ChatDeploymentSpec, default_image: str, config: ActivatorConfig) -> Manifest:
    name, component = owner.ref.name, names.COMPONENT_ACTIVATOR
    manifest = new_child(owner, DEPLOYMENT, names.activator_name(name), component)
    streams = spec.streaming.max_stream_seconds
    manifest["metadata"]["annotations"] = template_inputs_hash(
        template=spec.template.model_dump(mode="json", exclude_defaults=True),
        streaming=spec.streaming.model_dump(include=STREAMING_FIELDS, exclude_defaults=True),
        observability=config.observability.model_dump(mode="json", exclude_defaults=True),
        activation_timeout_seconds=config.activation_timeout_seconds,
    )
    manifest["spec"] = {
        "replicas": 1,
        "progressDeadlineSeconds": PROGRESS_DEADLINE_SECONDS,
        "selector": {"matchLabels": selector(name, component)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {
            "metadata": {
                "labels": {**spec.template.labels, **labels(name, component), names.LABEL_TRAFFIC: names.TRAFFIC},
                "annotations": dict(spec.template.annotations),
            },
            "spec": {
                "serviceAccountName": name,
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "securityContext": pod_security(),
                "terminationGracePeriodSeconds": int(
                    PRE_STOP_SECONDS + config.activation_timeout_seconds + streams + EXIT_SECONDS
                ),
                **scheduling(spec.template),
                **pull_secrets(spec.template),
                "containers": [_container(spec, default_image, config)],
            },
        },
    }
    return manifest
