"""What a volume claim can follow, and what becomes of the rest."""

import pytest

from chatfleet_contract import names
from chatfleet_contract.spec import ManagedRedis
from chatfleet_operator.children.volume import claim_spec, difference, must_be_replaced
from chatfleet_operator.model.values import Manifest

BOUND = {"phase": "Bound"}


def claim(size: str = "1Gi", storage_class: str | None = "fast", status: Manifest | None = None) -> Manifest:
    spec = {
        "resources": {"requests": {"storage": size}},
        **({"storageClassName": storage_class} if storage_class else {}),
    }
    return {"metadata": {}, "spec": spec, "status": status or {"phase": "Pending"}}


def managed(size: str = "1Gi", storage_class: str | None = "fast") -> ManagedRedis:
    return ManagedRedis(storage=size, storage_class_name=storage_class)


@pytest.mark.parametrize(
    ("wanted", "live", "size", "storage_class"),
    [
        (managed("2Gi", "slow"), None, "2Gi", "slow"),
        (managed("2Gi", "slow"), claim(), "2Gi", "slow"),
        (managed("2Gi"), claim(status=BOUND), "2Gi", "fast"),
        (managed("1Gi"), claim("2Gi", status=BOUND), "2Gi", "fast"),
        (managed("1024Mi", "slow"), claim(status=BOUND), "1024Mi", "fast"),
        (managed(storage_class=None), claim(status=BOUND), "1Gi", "fast"),
    ],
)
def test_a_bound_claim_keeps_its_class_and_never_shrinks(
    wanted: ManagedRedis, live: Manifest | None, size: str, storage_class: str
) -> None:
    spec = claim_spec(wanted, live)

    assert (spec["resources"]["requests"]["storage"], spec["storageClassName"]) == (size, storage_class)


OURS = [{"manager": names.FIELD_MANAGER, "fieldsV1": {"f:spec": {"f:storageClassName": {}}}}]


@pytest.mark.parametrize(
    ("live", "desired", "replaced"),
    [
        (claim(), claim(), False),
        (claim("1024Mi"), claim("1Gi"), False),
        (claim(), claim("2Gi"), True),
        (claim(), claim(storage_class="slow"), True),
        (claim(status=BOUND), claim("2Gi", "slow"), False),
        (claim(storage_class="default"), claim(storage_class=None), False),
        ({**claim(storage_class="typo"), "metadata": {"managedFields": OURS}}, claim(storage_class=None), True),
    ],
)
def test_only_a_claim_without_a_volume_is_replaced(live: Manifest, desired: Manifest, *, replaced: bool) -> None:
    assert must_be_replaced(live, desired) is replaced


@pytest.mark.parametrize(
    ("wanted", "live", "words"),
    [
        (managed(), claim(status=BOUND), ""),
        (managed("2Gi"), claim(status=BOUND), ""),
        (managed(storage_class=None), claim(status=BOUND), ""),
        (managed("1Gi"), claim("2Gi", status=BOUND), "Set spec.redis.managed.storage to 2Gi."),
        (managed(storage_class="slow"), claim(status=BOUND), "has the class fast and cannot move. Restore the class"),
    ],
)
def test_what_a_volume_cannot_follow_has_a_remedy(wanted: ManagedRedis, live: Manifest, words: str) -> None:
    found = difference(wanted, live)

    assert words in found if words else not found
