"""Which pod templates are in force: those that run, until the resource asks for others. Pure.

A newer operator may make other pods of the same resource: another image, hook or probe. That alone restarts none. The
template that was last applied stands on its workload, and stays for as long as the resource says the same about these
pods, or until it opts in (docs/decisions/0106).
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from chatfleet_contract import names
from chatfleet_operator.children.labels import digest
from chatfleet_operator.model.values import Manifest, ObjectId, identify


def asked(**parts: Any) -> dict[str, str]:  # noqa: ANN401  # JSON
    """Return the annotation that tells all that a resource says about the pods of one workload: `parts`.

    Without what is default, so that a field which a newer operator adds is no change.
    """
    return {names.ANNOTATION_TEMPLATE_INPUTS_HASH: digest(parts)}


def revision(children: Iterable[Manifest]) -> str:
    """Return the name of the pod templates in `children`, all together."""
    return digest({str(identify(child)): child["spec"]["template"] for child in children if _has_pods(child)})


def effective_templates(children: Iterable[Manifest], live: Mapping[ObjectId, Manifest]) -> tuple[Manifest, ...]:
    """Return `children` with the templates of `live`, of which the resource has said what it says now."""
    return tuple(
        _with(child, _kept(child, live.get(identify(child)))) if _has_pods(child) else child for child in children
    )


def _has_pods(child: Manifest) -> bool:
    return "template" in child.get("spec", {})


def _kept(child: Manifest, live: Manifest | None) -> Manifest:
    """Return the template that was last applied, if it still is what the resource asks for; else the one of `child`."""
    known = (live["metadata"].get("annotations") or {}) if live else {}
    newest: Manifest = child["spec"]["template"]
    if (
        known.get(names.ANNOTATION_TEMPLATE_INPUTS_HASH)
        != child["metadata"]["annotations"][names.ANNOTATION_TEMPLATE_INPUTS_HASH]
    ):
        return newest
    try:
        kept = json.loads(known[names.ANNOTATION_LAST_APPLIED_TEMPLATE])
    except (KeyError, ValueError):
        return newest
    return kept if isinstance(kept, dict) else newest


def _with(child: Manifest, template: Manifest) -> Manifest:
    text = json.dumps(template, sort_keys=True, separators=(",", ":"))
    annotations = {**child["metadata"]["annotations"], names.ANNOTATION_LAST_APPLIED_TEMPLATE: text}
    metadata = {**child["metadata"], "annotations": annotations}
    return {**child, "metadata": metadata, "spec": {**child["spec"], "template": template}}
