"""Which ConfigMaps with instructions of agents one reconciliation reads, and what it finds. Pure."""

from collections.abc import Mapping

from chatfleet_contract.spec import ChatDeploymentSpec
from chatfleet_contract.spec.secrets import ConfigMapKeyRef
from chatfleet_operator.model.values import Manifest, ObjectId


def config_map_id(ref: ConfigMapKeyRef) -> ObjectId:
    return ObjectId("ConfigMap", ref.name)


def instructed(spec: ChatDeploymentSpec | None) -> tuple[tuple[str, ConfigMapKeyRef], ...]:
    """Return the agents with instructions in ConfigMaps, by name."""
    return spec.agents.instructed() if spec is not None and spec.agents is not None else ()


def instructions(spec: ChatDeploymentSpec | None, found: Mapping[ObjectId, Manifest | None]) -> dict[str, str]:
    """Return the instructions that exist, by the name of their agent."""
    return {name: text for name, ref in instructed(spec) if (text := _text(ref, found))}


def missing_instructions(
    spec: ChatDeploymentSpec | None, found: Mapping[ObjectId, Manifest | None]
) -> tuple[ConfigMapKeyRef, ...]:
    """Return the keys that do not exist or are empty; of a ConfigMap that was not read, nothing is known."""
    references = dict.fromkeys(ref for _, ref in instructed(spec))
    return tuple(ref for ref in references if config_map_id(ref) in found and not _text(ref, found))


def _text(ref: ConfigMapKeyRef, found: Mapping[ObjectId, Manifest | None]) -> str:
    live = found.get(config_map_id(ref)) or {}
    return str((live.get("data") or {}).get(ref.key) or "")
