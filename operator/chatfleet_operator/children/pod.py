"""What all our pods have in common: Pod Security `restricted`, a read-only root, and what a template adds."""

from copy import deepcopy
from typing import Final

from chatfleet_contract.spec import Scheduling, Template
from chatfleet_operator.model.values import Manifest

USER_ID: Final = 10001
"""User and group of the processes, in the images and on their volumes."""

READ_ONLY: Final = 0o440
"""Mode of mounted files: readable only by the group of the pod."""


def pod_security() -> Manifest:
    return {
        "runAsNonRoot": True,
        "runAsUser": USER_ID,
        "runAsGroup": USER_ID,
        "fsGroup": USER_ID,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> Manifest:
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def last_words() -> Manifest:
    """Return the fields by which the kubelet keeps the last lines of a container's log in the status of its pod."""
    return {"terminationMessagePolicy": "FallbackToLogsOnError"}


def http_probe(path: str, port: str, *, period: int, failures: int) -> Manifest:
    """Return a probe of `path` every `period` seconds; it fails after `failures` failures in a row."""
    return {
        "httpGet": {"path": path, "port": port},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def spread(selector: dict[str, str]) -> list[Manifest]:
    """Return a preference, not a requirement, for different nodes."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": selector},
        }
    ]


def pull_secrets(template: Template) -> Manifest:
    """Return the credentials of registries; none are set where there are none."""
    listed = [secret.document() for secret in template.image_pull_secrets]
    return {"imagePullSecrets": listed} if listed else {}


def scheduling(template: Scheduling) -> Manifest:
    """Return where `template` lets pods run; what it does not set stays absent."""
    fields = {
        "nodeSelector": template.node_selector,
        "tolerations": template.tolerations,
        "affinity": template.affinity,
        "priorityClassName": template.priority_class_name,
    }
    return {key: deepcopy(value) for key, value in fields.items() if value}
