"""ConfigMaps with instructions of agents."""

from collections.abc import Mapping
from typing import Any, Final

from chatfleet_contract.status import ConditionType, Reason
from chatfleet_lab.faults.fault import Fault
from chatfleet_lab.faults.rows.manifests import manifest
from chatfleet_lab.faults.steps import apply, delete, spec
from chatfleet_operator.model.values import Manifest


def agents(config_map: str, key: str) -> Mapping[str, Any]:
    """Return a spec with a member whose instructions are in a ConfigMap."""
    source = {"configMapKeyRef": {"name": config_map, "key": key}}
    member = {"name": "billing", "description": "invoices", "model": "default", "instructionsFrom": source}
    return {"agents": {"supervisor": {"model": "default"}, "members": [member]}}


def prompts(**data: str) -> Manifest:
    """Return a ConfigMap with instructions."""
    return manifest("v1", "ConfigMap", "prompts", data=data)


ROWS: Final = (
    Fault(
        "ConfigMap with instructions of an agent that does not exist",
        spec(**agents("prompts", "billing")),
        apply(prompts(billing="Be brief.")),
        ConditionType.CONFIGURATION_VALID,
        Reason.CONFIG_MAP_MISSING,
        ("ConfigMap prompts", "key billing"),
    ),
    Fault(
        "ConfigMap with instructions of an agent that is deleted",
        delete("configmap/prompts"),
        apply(prompts(billing="Be brief.")),
        ConditionType.CONFIGURATION_VALID,
        Reason.CONFIG_MAP_MISSING,
        ("ConfigMap prompts", "key billing"),
        objects=(prompts(billing="Be brief."),),
        spec=agents("prompts", "billing"),
    ),
)
