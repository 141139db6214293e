"""The collections of ChromaDB as one dependency of a pod, and as one component. Pure."""

from collections.abc import Sequence
from typing import Final

from chatfleet_contract.report import ComponentHealth, ComponentState, Dependency, State

CHROMADB: Final = "chromadb"
_WORST_FIRST: Final = (ComponentState.DOWN, ComponentState.UNKNOWN, ComponentState.UP)


def as_component(collections: Sequence[ComponentHealth]) -> ComponentHealth:
    """Return the state of all: that of the worst one, since it has it, and with the longest latency."""
    if not collections:
        return ComponentHealth(component=CHROMADB, state=ComponentState.UNUSED)
    worst = min(collections, key=lambda each: _WORST_FIRST.index(each.state))
    alike = [each for each in collections if each.state is worst.state]
    others = f" ({len(alike) - 1} more)" if len(alike) > 1 else ""
    return ComponentHealth(
        component=CHROMADB,
        state=worst.state,
        message=f"collection {worst.component}: {worst.message}{others}" if worst.message else None,
        latency_milliseconds=max((each.latency_milliseconds or 0.0 for each in alike if each.since), default=None),
        since=min((each.since for each in alike if each.since), default=None),
    )


def as_dependency(collections: Sequence[ComponentHealth]) -> Dependency | None:
    """Return the same for the operator; None: there are none."""
    if not collections:
        return None
    found = as_component(collections)
    return Dependency(state=State(found.state.value), message=found.message)
