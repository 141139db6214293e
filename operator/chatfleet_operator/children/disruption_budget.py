"""The PodDisruptionBudgets: draining a node evicts one pod at a time, and an unhealthy pod never blocks it."""

from chatfleet_contract import names
from chatfleet_operator.children.context import BuildContext
from chatfleet_operator.children.kinds import POD_DISRUPTION_BUDGET
from chatfleet_operator.children.labels import new_child, selector
from chatfleet_operator.model.values import Manifest


def build(context: BuildContext) -> tuple[Manifest, ...]:
    name, managed = context.ref.name, context.spec.redis.managed
    of_pods = _budget(context, name, names.COMPONENT_API, max_unavailable=1)
    if managed is None:
        return (of_pods,)
    redis = names.redis_name(name)
    return (of_pods, _budget(context, redis, names.COMPONENT_REDIS, max_unavailable=managed.max_unavailable))


def _budget(context: BuildContext, name: str, component: str, *, max_unavailable: int) -> Manifest:
    manifest = new_child(context.owner, POD_DISRUPTION_BUDGET, name, component)
    manifest["spec"] = {
        "maxUnavailable": max_unavailable,
        "selector": {"matchLabels": selector(context.ref.name, component)},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    return manifest
