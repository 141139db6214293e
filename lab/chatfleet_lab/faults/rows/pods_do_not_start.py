"""Pods that are created and do not start, as a real scheduler and kubelet report it."""

from typing import Any, Final

from chatfleet_contract.status import ConditionType, Reason
from chatfleet_lab.faults.fault import Fault, Needs, Step
from chatfleet_lab.faults.rows.manifests import manifest, secret
from chatfleet_lab.faults.steps import apply, spec, start

WELL: Final = spec(template={})
REGION: Final = {"name": "REGION", "valueFrom": {"secretKeyRef": {"name": "extra", "key": "region"}}}
ZONE: Final = {"name": "ZONE", "valueFrom": {"configMapKeyRef": {"name": "zones", "key": "zone"}}}


def does_not_start(name: str, reason: Reason, template: Any, *words: str, heal: Step = WELL, **rest: Any) -> Fault:  # noqa: ANN401  # JSON
    return Fault(
        name,
        start,
        heal,
        ConditionType.PROGRESSING,
        reason,
        words,
        in_ready=True,
        spec={"template": template},
        starts=True,
        needs=Needs.PODS,
        **rest,
    )


ROWS: Final = (
    does_not_start(
        "image that cannot be pulled",
        Reason.IMAGE_PULL_FAILED,
        {"image": "registry.invalid/api:9"},
        "registry.invalid/api:9",
    ),
    does_not_start(
        "Secret of a variable that does not exist",
        Reason.CREATE_CONTAINER_FAILED,
        {"env": [REGION]},
        'secret "extra" not found',
        heal=apply(secret("extra", region="hidden")),
    ),
    does_not_start(
        "key of a variable that is missing in its Secret",
        Reason.CREATE_CONTAINER_FAILED,
        {"env": [REGION]},
        *("key region", "extra"),
        heal=apply(secret("extra", region="hidden")),
        objects=(secret("extra", other="hidden"),),
    ),
    does_not_start(
        "ConfigMap of a variable that does not exist",
        Reason.CREATE_CONTAINER_FAILED,
        {"env": [ZONE]},
        'configmap "zones" not found',
        heal=apply(manifest("v1", "ConfigMap", "zones", data={"zone": "a"})),
    ),
    does_not_start(
        "container that ends after each start",
        Reason.CRASH_LOOP_BACK_OFF,
        {"env": [{"name": "PYTHONHOME", "value": "/nowhere"}]},
        *("container api ended with Error", "encodings"),
    ),
    does_not_start(
        "memory limit that is too low", Reason.OOM_KILLED, {"resources": {"limits": {"memory": "28Mi"}}}, "OOMKilled"
    ),
    does_not_start(
        "node selector that no node has",
        Reason.UNSCHEDULABLE,
        {"nodeSelector": {"chatfleet.io/nowhere": "true"}},
        "node affinity/selector",
    ),
    does_not_start(
        "request that no node has",
        Reason.UNSCHEDULABLE,
        {"resources": {"requests": {"cpu": "900"}}},
        "Insufficient cpu",
    ),
)
