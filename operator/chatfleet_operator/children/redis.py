"""A managed Redis: StatefulSet of one pod with an append-only file, volume, password Secret, Service.

The volume belongs to the ChatDeployment, not to the StatefulSet: it goes with the resource, and stays when
`redis.managed` is switched off (docs/decisions/0103).
"""

import base64
from copy import deepcopy
from typing import Any, Final

from chatfleet_contract import names
from chatfleet_contract.spec import ChatDeploymentSpec, ManagedRedis, Scheduling
from chatfleet_operator.children.context import BuildContext
from chatfleet_operator.children.kinds import PERSISTENT_VOLUME_CLAIM, SECRET, SERVICE, STATEFUL_SET
from chatfleet_operator.children.labels import Owner, labels, new_child, selector
from chatfleet_operator.children.pod import (
    READ_ONLY,
    container_security,
    last_words,
    pod_security,
    pull_secrets,
    scheduling,
)
from chatfleet_operator.children.revision import template_inputs_hash
from chatfleet_operator.children.volume import claim_spec
from chatfleet_operator.model.compare import quantity
from chatfleet_operator.model.parse import blank_values
from chatfleet_operator.model.values import Manifest

DATA_DIR: Final = "/data"
PASSWORD_DIR: Final = "/etc/chatfleet/redis"  # a folder
DISAGREES: Final = "disagrees"
"""Stands for the URL in the Secret of a managed Redis when it is not that of the password."""

PASSWORD_FILE: Final = f"{PASSWORD_DIR}/{names.REDIS_SECRET_PASSWORD}"


RESOURCES: Final[Manifest] = {"requests": {"cpu": "50m", "memory": "64Mi"}}
"""Unless the spec sets some."""

DATA_PERCENT: Final = 75
"""Share of the memory limit that data may take; the rest is for buffers, and for copies while the file is rewritten."""


def redis_url(service: str, namespace: str, password: str) -> str:
    """Return the URL by which pods reach the managed Redis behind `service`."""
    return f"redis://:{password}@{service}.{namespace}.svc:{names.PORT_REDIS}/0"


def generated_values(secret: Manifest, password: str) -> dict[str, str]:
    """Return the data of `secret`, the Secret of a managed Redis, as the API server stores them."""
    url = redis_url(secret["metadata"]["name"], secret["metadata"]["namespace"], password)
    values = {names.REDIS_SECRET_PASSWORD: password, names.REDIS_SECRET_URL: url}
    return {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}


def blank_generated(live: Manifest) -> Manifest:
    """Return a child without the values of a Secret; whether URL and password agree is all that is left of them.

    Edited by hand, one of them no longer opens the Redis that the other one started.
    """
    blanked = blank_values(live)
    data = live.get("data") or {}
    if live["kind"] != "Secret" or not data.keys() >= {names.REDIS_SECRET_PASSWORD, names.REDIS_SECRET_URL}:
        return blanked
    try:
        password = base64.b64decode(data[names.REDIS_SECRET_PASSWORD], validate=True).decode()
    except ValueError:
        password = ""
    if password and generated_values(live, password).items() <= data.items():
        return blanked
    return {**blanked, "data": {**blanked["data"], names.REDIS_SECRET_URL: DISAGREES}}


def _command(managed: ManagedRedis) -> list[str]:
    """Start Redis with its password on standard input, so that no list of processes ever shows it.

    `exec` with a here-document, and no pipe: Redis is the container's first process and receives its signals.
    """
    options = (
        f"--dir {DATA_DIR} --appendonly yes --appendfsync {managed.append_fsync.value}"
        f"{_max_memory(managed)} --maxmemory-policy noeviction --protected-mode no"
    )
    return ["sh", "-ec", f"exec redis-server - {options} <<END\nrequirepass $(cat {PASSWORD_FILE})\nEND\n"]


def _max_memory(managed: ManagedRedis) -> str:
    limits: Any = managed.resources.get("limits") or {}
    limit = quantity(str(limits.get("memory", "")))
    return f" --maxmemory {int(limit * DATA_PERCENT / 100)}" if limit else ""


def _probe(test: str, *, failures: int) -> Manifest:
    return {
        "exec": {"command": ["sh", "-c", test]},
        "periodSeconds": 5,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


ALIVE: Final = 'test -n "$(redis-cli ping)"'
"""Any answer counts, also that a password is needed or that the file is still being loaded."""

SERVING: Final = f'test "$(REDISCLI_AUTH="$(cat {PASSWORD_FILE})" redis-cli ping)" = PONG'


def _container(managed: ManagedRedis, image: str) -> Manifest:
    return {
        "name": "redis",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": _command(managed),
        "ports": [{"name": "redis", "containerPort": names.PORT_REDIS, "protocol": "TCP"}],
        "volumeMounts": [
            {"name": "data", "mountPath": DATA_DIR},
            {"name": "password", "mountPath": PASSWORD_DIR, "readOnly": True},
        ],
        "resources": deepcopy(managed.resources or RESOURCES),
        "securityContext": container_security(),
        **last_words(),
        "livenessProbe": _probe(ALIVE, failures=6),
        "readinessProbe": _probe(SERVING, failures=2),
    }


def _pod_spec(name: str, spec: ChatDeploymentSpec, managed: ManagedRedis, image: str) -> Manifest:
    password = {"key": names.REDIS_SECRET_PASSWORD, "path": names.REDIS_SECRET_PASSWORD}
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        "terminationGracePeriodSeconds": 30,
        **scheduling(managed),
        **pull_secrets(spec.template),
        "containers": [_container(managed, image)],
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": name}},
            {"name": "password", "secret": {"secretName": name, "defaultMode": READ_ONLY, "items": [password]}},
        ],
    }


def _placement(spec: ChatDeploymentSpec, managed: ManagedRedis) -> Manifest:
    """Return what the spec sets about the pod beyond Redis' own options; the hash of old specs must not change."""
    own = managed.model_dump(include=set(Scheduling.model_fields), mode="json", exclude_defaults=True)
    return {**own, **pull_secrets(spec.template)}


def _stateful_set(context: BuildContext, managed: ManagedRedis) -> Manifest:
    owner, secret_uid = context.owner, context.live.secret_uid
    name = names.redis_name(owner.ref.name)
    manifest = new_child(owner, STATEFUL_SET, name, names.COMPONENT_REDIS)
    manifest["metadata"]["annotations"] = template_inputs_hash(
        append_fsync=managed.append_fsync.value, password=secret_uid, **_placement(context.spec, managed)
    )
    manifest["spec"] = {
        "replicas": 1,
        "serviceName": name,
        "selector": {"matchLabels": selector(owner.ref.name, names.COMPONENT_REDIS)},
        "template": {
            "metadata": {
                "labels": labels(owner.ref.name, names.COMPONENT_REDIS),
                "annotations": {names.ANNOTATION_REDIS_SECRET: secret_uid},
            },
            "spec": _pod_spec(name, context.spec, managed, context.defaults.redis_image),
        },
    }
    return manifest


def _service(owner: Owner) -> Manifest:
    manifest = new_child(owner, SERVICE, names.redis_name(owner.ref.name), names.COMPONENT_REDIS)
    manifest["spec"] = {
        "type": "ClusterIP",
        "selector": selector(owner.ref.name, names.COMPONENT_REDIS),
        "ports": [{"name": "redis", "port": names.PORT_REDIS, "protocol": "TCP", "targetPort": "redis"}],
    }
    return manifest


def _volume_claim(owner: Owner, managed: ManagedRedis, live: Manifest | None) -> Manifest:
    name = names.redis_name(owner.ref.name)
    manifest = new_child(owner, PERSISTENT_VOLUME_CLAIM, name, names.COMPONENT_REDIS)
    manifest["spec"] = claim_spec(managed, live)
    return manifest


def _secret(owner: Owner) -> Manifest:
    """Return the Secret without its values: they are generated once, when it is created."""
    manifest = new_child(owner, SECRET, names.redis_name(owner.ref.name), names.COMPONENT_REDIS)
    manifest["type"] = "Opaque"
    return manifest


def build(context: BuildContext) -> tuple[Manifest, ...]:
    """Return all objects of a managed Redis. Another uid of its password Secret restarts it."""
    managed = context.spec.redis.managed
    if managed is None:
        return ()
    return (
        _secret(context.owner),
        _volume_claim(context.owner, managed, context.live.volume),
        _service(context.owner),
        _stateful_set(context, managed),
    )
