"""Whose an object is, and which field managers are ours."""

from typing import Final

from chatfleet_contract import names
from chatfleet_operator.model.values import Manifest, Resource

GENERATE_MANAGER: Final = f"{names.FIELD_MANAGER}-generate"
"""Field manager of generated values: applying the rest of a Secret never removes them."""

SCALE_MANAGER: Final = f"{names.FIELD_MANAGER}-scale"
"""Field manager that owns the number of pods until an autoscaler sets it."""

OUR_MANAGERS: Final = frozenset({names.FIELD_MANAGER, GENERATE_MANAGER})


def is_ours(live: Manifest, resource: Resource) -> bool:
    """Whether `live` is controlled by `resource`, or was created by us for its name and has lost its controller."""
    metadata = live["metadata"]
    controllers = [owner["uid"] for owner in metadata.get("ownerReferences") or () if owner.get("controller")]
    if controllers:
        return resource.uid in controllers
    managers = {entry.get("manager") for entry in metadata.get("managedFields") or ()}
    label = (metadata.get("labels") or {}).get(names.LABEL_DEPLOYMENT)
    return label == resource.ref.name and bool(managers & OUR_MANAGERS)


def describe_owner(live: Manifest) -> str:
    """Return whose `live` is, for a message about a foreign object: its controller, else who wrote it first."""
    metadata = live["metadata"]
    for owner in metadata.get("ownerReferences") or ():
        if owner.get("controller"):
            return f"controlled by {owner.get('kind')} {owner.get('name')}"
    writers = sorted(metadata.get("managedFields") or (), key=lambda entry: str(entry.get("time", "")))
    return f"written by {writers[0].get('manager')}" if writers else "without a controller"


def holds_replicas(live: Manifest) -> bool:
    """Whether we own the number of pods of a workload by apply: applying without it would reset it."""
    return any(
        entry.get("manager") == names.FIELD_MANAGER
        and entry.get("operation") == "Apply"
        and "f:replicas" in (entry.get("fieldsV1") or {}).get("f:spec", {})
        for entry in live["metadata"].get("managedFields") or ()
    )
