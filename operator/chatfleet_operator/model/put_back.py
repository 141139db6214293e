"""THE list: fields of a child that we do not set, and that are ours all the same. Pure.

Other fields that we do not set belong to others: a mesh or an agent adds containers, init containers, volumes, mounts,
variables, labels and annotations, and these stay. No mesh injects what stands here, and each entry stops traffic or
removes a protection. An absent field is its default, so putting it back is removing it.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from chatfleet_operator.model.values import Manifest

ATOMIC_MAPS: Final = frozenset({"selector", "labelSelector", "matchLabels", "nodeSelector"})
"""Maps that are ours as a whole: one more key selects other pods, or none. The API server has them as atomic too, so
that applying ours replaces them."""

_POD: Final = ("hostNetwork", "hostPID", "hostIPC", "nodeName")
_CONTAINER: Final = ("command", "args", "workingDir")
_SECURITY: Final = ("privileged", "procMount")
_SERVICE: Final = ("publishNotReadyAddresses", "externalName")


def fields_to_remove(live: Manifest, desired: Manifest) -> tuple[str, ...]:
    """Return the JSON pointers of such fields in `live` that `desired` does not have; of a list, the last item first.

    `live` holds all of `desired`: a list item is never removed before ours is there.
    """
    if live["kind"] == "Service":
        return tuple(_of_service(live["spec"], desired["spec"]))
    if "template" in desired.get("spec", {}):
        return tuple(_of_pods(live["spec"]["template"]["spec"], desired["spec"]["template"]["spec"]))
    return ()


def _of_service(live: Manifest, desired: Manifest) -> Iterator[str]:
    yield from _absent("/spec", live, desired, _SERVICE)
    ours = [_port(each) for each in desired.get("ports") or ()]
    for index, port in reversed(list(enumerate(live.get("ports") or ()))):
        if _port(port) not in ours:
            yield f"/spec/ports/{index}"


def _port(port: Mapping[str, Any]) -> tuple[object, object]:
    return port.get("port"), port.get("protocol", "TCP")


def _of_pods(live: Manifest, desired: Manifest) -> Iterator[str]:
    where = "/spec/template/spec"
    yield from _absent(where, live, desired, _POD)
    ours = {container["name"]: container for container in desired["containers"]}
    for index, container in enumerate(live["containers"]):
        if container["name"] in ours:  # not one that was injected
            yield from _of_container(f"{where}/containers/{index}", container, ours[container["name"]])


def _of_container(where: str, live: Manifest, desired: Manifest) -> Iterator[str]:
    yield from _absent(where, live, desired, _CONTAINER)
    found, wanted = (each.get("securityContext") or {} for each in (live, desired))
    yield from _absent(f"{where}/securityContext", found, wanted, _SECURITY)
    found, wanted = (each.get("capabilities") or {} for each in (found, wanted))
    yield from _absent(f"{where}/securityContext/capabilities", found, wanted, ("add",))


def _absent(where: str, live: Manifest, desired: Manifest, fields: tuple[str, ...]) -> Iterator[str]:
    yield from (f"{where}/{name}" for name in fields if live.get(name) and not desired.get(name))
