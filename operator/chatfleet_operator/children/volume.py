"""The volume claim of a managed Redis beside the spec: a volume can neither shrink nor move to another StorageClass.

A claim that is not bound has no data: it is replaced. A bound one keeps its class and never gets smaller. Pure.
"""

from decimal import Decimal
from typing import Final

from chatfleet_contract import names
from chatfleet_contract.spec import ManagedRedis
from chatfleet_operator.model.compare import quantity
from chatfleet_operator.model.values import Manifest

NO_SIZE: Final = Decimal(0)


def is_bound(claim: Manifest) -> bool:
    """Whether a volume belongs to `claim`, or did."""
    return bool(claim["spec"].get("volumeName")) or (claim.get("status") or {}).get("phase") in {"Bound", "Lost"}


def claim_spec(managed: ManagedRedis, live: Manifest | None) -> Manifest:
    """Return the spec of the claim, which `live` can take where it is bound."""
    size, storage_class = managed.storage, managed.storage_class_name
    if live is not None and is_bound(live):
        size, storage_class = max(size, _size(live), key=_number), live["spec"].get("storageClassName")
    return {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": size}},
        **({"storageClassName": storage_class} if storage_class else {}),
    }


def must_be_replaced(live: Manifest, desired: Manifest) -> bool:
    """Whether `live` has no volume yet and can never become `desired`: the spec of such a claim is immutable."""
    wanted = desired["spec"].get("storageClassName")
    other_class = live["spec"].get("storageClassName") != wanted if wanted else _has_class_of_ours(live)
    return not is_bound(live) and (other_class or _number(_size(live)) != _number(_size(desired)))


def difference(managed: ManagedRedis, live: Manifest) -> str:
    """Return in which way a bound claim cannot follow the spec, and the remedy; empty: in none."""
    size, storage_class = _size(live), live["spec"].get("storageClassName") or "none"
    if managed.storage_class_name and managed.storage_class_name != storage_class:
        return (
            f"spec.redis.managed.storageClassName is {managed.storage_class_name}, but the volume has the class"
            f" {storage_class} and cannot move. Restore the class, or create another ChatDeployment."
        )
    if _number(managed.storage) < _number(size):
        return (
            f"spec.redis.managed.storage is {managed.storage}, but the volume claim has {size} and cannot shrink."
            f" Set spec.redis.managed.storage to {size}."
        )
    return ""


def _has_class_of_ours(live: Manifest) -> bool:
    """Whether we set its class; else the API server filled in the default one."""
    return any(
        entry.get("manager") == names.FIELD_MANAGER
        and "f:storageClassName" in (entry.get("fieldsV1") or {}).get("f:spec", {})
        for entry in live["metadata"].get("managedFields") or ()
    )


def _size(claim: Manifest) -> str:
    return str(claim["spec"]["resources"]["requests"]["storage"])


def _number(size: str) -> Decimal:
    return quantity(size) or NO_SIZE
