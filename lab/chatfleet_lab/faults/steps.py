"""What rows do to the objects of their namespace."""

from typing import Any

from chatfleet_lab.faults.fault import NAME, Case, Step
from chatfleet_lab.faults.rows.manifests import policy
from chatfleet_operator.model.values import Manifest
from harness.kube.reads import RefusedError

CHATDEPLOYMENT = f"chatdeployment/{NAME}"


def start(case: Case) -> None:
    """Create the ChatDeployment."""
    case.apply()


def spec(**changes: Any) -> Step:  # noqa: ANN401  # JSON
    """Return the step that changes the ChatDeployment's spec."""
    return lambda case: case.apply(**changes)


def apply(*manifests: Manifest) -> Step:
    """Return the step that creates objects, or sets their fields."""
    return lambda case: [case.objects.apply(manifest) for manifest in manifests]


def delete(*what: str) -> Step:
    """Return the step that deletes objects."""

    def step(case: Case) -> None:
        for each in what:
            case.objects.delete(each)

    return step


def merge(what: str, patch: Manifest, subresource: str = "") -> Step:
    """Return the step that changes fields of an object; None removes one."""
    return lambda case: case.objects.merge(what, patch, subresource)


def patch(what: str, *operations: Manifest) -> Step:
    """Return the step that changes an object by a JSON patch."""
    return lambda case: case.objects.patch(what, *operations)


def steps(*several: Step) -> Step:
    """Return one step from several, in their order."""
    return lambda case: [step(case) for step in several]


def annotate(what: str, **annotations: str | None) -> Step:
    """Return the step that sets annotations; None removes one."""
    return merge(what, {"metadata": {"annotations": annotations}})


def deny(group: str, resource: str) -> Step:
    """Return the step that denies a resource in the namespace, by a policy of the cluster."""
    return lambda case: [case.objects.apply(each) for each in policy(case.namespace, group, resource)]


def allow(case: Case) -> None:
    """Remove that policy."""
    case.objects.delete(f"validatingadmissionpolicybinding/{case.namespace}")
    case.objects.delete(f"validatingadmissionpolicy/{case.namespace}")


def is_denied(case: Case, probe: Manifest) -> bool:
    """Return whether an object is denied: a policy works some moments after it was made."""
    try:
        case.objects.apply(probe)
    except RefusedError:
        return True
    case.objects.delete(f"{probe['kind']}/{probe['metadata']['name']}")
    return False
