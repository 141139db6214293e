"""The PodDisruptionBudget: draining a node evicts one pod at a time, and an unhealthy pod never blocks it."""

from chatfleet_contract import names
from chatfleet_operator.children.context import BuildContext
from chatfleet_operator.children.kinds import POD_DISRUPTION_BUDGET
from chatfleet_operator.children.labels import new_child, selector
from chatfleet_operator.model.values import Manifest


def build(context: BuildContext) -> tuple[Manifest, ...]:
    name = context.ref.name
    manifest = new_child(context.owner, POD_DISRUPTION_BUDGET, name, names.COMPONENT_API)
    manifest["spec"] = {
        "maxUnavailable": 1,
        "selector": {"matchLabels": selector(name, names.COMPONENT_API)},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    return (manifest,)
