"""What every pod of ours has in common: Pod Security `restricted`, a read-only root, and what a template adds."""

from copy import deepcopy

from chatfleet_contract.spec import Template
from chatfleet_operator.model.values import Manifest

USER_ID = 10001
"""User and group of the processes, in the images and on their volumes."""

READ_ONLY = 0o440
"""Mode of mounted files: readable by the group of the pod, and by nobody else."""


def pod_security() -> Manifest:
    """Return the pod's securityContext under Pod Security `restricted`."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER_ID,
        "runAsGroup": USER_ID,
        "fsGroup": USER_ID,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> Manifest:
    """Return the container's securityContext under Pod Security `restricted`."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def http_probe(path: str, port: str, *, period: int, failures: int) -> Manifest:
    """Return a probe of `path`, every `period` seconds, that gives up after `failures` failures in a row."""
    return {
        "httpGet": {"path": path, "port": port},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def spread(selector: dict[str, str]) -> list[Manifest]:
    """Return the wish, never the demand, that the pods of `selector` stand on different nodes."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": selector},
        }
    ]


def scheduling(template: Template) -> Manifest:
    """Return what `template` says about where pods run; what it leaves open stays absent."""
    wishes = {
        "nodeSelector": template.node_selector,
        "tolerations": template.tolerations,
        "affinity": template.affinity,
        "priorityClassName": template.priority_class_name,
    }
    return {key: deepcopy(wish) for key, wish in wishes.items() if wish}
