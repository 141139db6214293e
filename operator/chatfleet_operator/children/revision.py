"""Which pod templates are in effect: those that run, until the spec changes them.

A newer operator may build other pods from the same spec: another image, hook or probe. That alone restarts none. The
template that was last applied is an annotation of its workload, and stays in effect until the spec of these pods
changes or the ChatDeployment opts in (docs/decisions/0106).
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from chatfleet_contract import names
from chatfleet_operator.children.labels import digest
from chatfleet_operator.model.values import Manifest, ObjectId, identify


def template_inputs_hash(**parts: Any) -> dict[str, str]:  # noqa: ANN401  # JSON
    """Return the annotation with the hash of `parts`: all that the spec determines about the pods of one workload.

    Without defaults, so that a field which a newer operator adds is no change.
    """
    return {names.ANNOTATION_TEMPLATE_INPUTS_HASH: digest(parts)}


def revision(children: Iterable[Manifest]) -> str:
    """Return a hash of all pod templates in `children`."""
    return digest({str(identify(child)): child["spec"]["template"] for child in children if _has_pods(child)})


def effective_templates(children: Iterable[Manifest], live: Mapping[ObjectId, Manifest]) -> tuple[Manifest, ...]:
    """Return `children` with the templates of `live` whose inputs have not changed."""
    return tuple(
        _with(child, _kept(child, live.get(identify(child)))) if _has_pods(child) else child for child in children
    )


def _has_pods(child: Manifest) -> bool:
    return "template" in child.get("spec", {})


def _kept(child: Manifest, live: Manifest | None) -> Manifest:
    """Return the template that was last applied if its inputs have not changed; else that of `child`."""
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
