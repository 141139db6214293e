"""What a workload uses: the objects that its pods mount, run as, store in or are reached by. Pure.

With someone else's object under one of these names, our pods would read its data or write into it.
"""

from collections.abc import Iterator
from typing import Final

from chatfleet_contract import names
from chatfleet_operator.children.kinds import CONFIG_MAP, PERSISTENT_VOLUME_CLAIM, SECRET, SERVICE, SERVICE_ACCOUNT
from chatfleet_operator.model.values import Manifest, ObjectId

_MOUNTED: Final = (
    (PERSISTENT_VOLUME_CLAIM.name, "persistentVolumeClaim", "claimName"),
    (CONFIG_MAP.name, "configMap", "name"),
    (SECRET.name, "secret", "secretName"),
)
"""Kind, type of the volume, field with the name."""


def prerequisites(workload: Manifest) -> frozenset[ObjectId]:
    """Return the objects that the pods of `workload` use, ours or not."""
    pods = workload["spec"]["template"]["spec"]
    used = {ObjectId(SERVICE_ACCOUNT.name, pods["serviceAccountName"])} if "serviceAccountName" in pods else set()
    used.update(key for volume in pods.get("volumes") or () for key in _mounted(volume))
    if "serviceName" in workload["spec"]:
        used.add(ObjectId(SERVICE.name, workload["spec"]["serviceName"]))
    redis = names.redis_name(workload["metadata"]["labels"][names.LABEL_DEPLOYMENT])
    if ObjectId(SECRET.name, redis) in used:
        used.add(ObjectId(SERVICE.name, redis))  # where the URL in the Secret leads
    return frozenset(used)


def _mounted(volume: Manifest) -> Iterator[ObjectId]:
    for kind, source, field in _MOUNTED:
        if source in volume:
            yield ObjectId(kind, volume[source][field])
    for projected in (volume.get("projected") or {}).get("sources") or ():
        for kind, source, _ in _MOUNTED:
            if source in projected:
                yield ObjectId(kind, projected[source]["name"])
