"""How the pods are reached, who they are, and how many may be away: Service, ServiceAccount, PodDisruptionBudget."""

from chatfleet_contract import names
from chatfleet_contract.spec import ServiceExposure
from chatfleet_operator.children.labels import Owner, child, selector, traffic
from chatfleet_operator.model.values import Manifest


def service(owner: Owner, exposure: ServiceExposure, *, may_scale_to_zero: bool) -> Manifest:
    """Return the Service in front of the API pods. The health port stays off it.

    `may_scale_to_zero`: there may be no API pod, and the waiting room, which is ready only then, answers behind it too.
    """
    name = owner.ref.name
    manifest = child(owner, ("v1", "Service"), name, names.COMPONENT_API)
    if exposure.annotations:
        manifest["metadata"]["annotations"] = dict(exposure.annotations)
    manifest["spec"] = {
        "type": exposure.type.value,
        "selector": traffic(name) if may_scale_to_zero else selector(name, names.COMPONENT_API),
        "ports": [
            {
                "name": names.PORT_NAME_SERVING,
                "port": exposure.port,
                "protocol": "TCP",
                "targetPort": names.PORT_NAME_SERVING,
            }
        ],
    }
    return manifest


def service_account(owner: Owner) -> Manifest:
    """Return the identity of the API pods. They do not talk to the API server and get no token for it."""
    manifest = child(owner, ("v1", "ServiceAccount"), owner.ref.name, names.COMPONENT_API)
    manifest["automountServiceAccountToken"] = False
    return manifest


def disruption_budget(owner: Owner) -> Manifest:
    """Return the budget: a drain takes one pod at a time, is never stuck on one, and may take what is broken."""
    name = owner.ref.name
    manifest = child(owner, ("policy/v1", "PodDisruptionBudget"), name, names.COMPONENT_API)
    manifest["spec"] = {
        "maxUnavailable": 1,
        "selector": {"matchLabels": selector(name, names.COMPONENT_API)},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    return manifest
