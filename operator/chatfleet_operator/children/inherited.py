"""Labels and annotations that every child and every pod inherits from the spec; ours take precedence."""

from typing import Any

from chatfleet_contract import names
from chatfleet_contract.spec import InheritedMetadata
from chatfleet_operator.children.labels import digest
from chatfleet_operator.model.values import Manifest


def inherit(child: Manifest, inherited: InheritedMetadata) -> Manifest:
    """Return `child` with the metadata of `inherited`, and its pod template likewise."""
    if not (inherited.labels or inherited.annotations):
        return child
    whole = {**child, "metadata": _merged(child["metadata"], inherited)}
    template = child.get("spec", {}).get("template")
    if template is None:
        return whole
    pods = {**template, "metadata": _merged(template["metadata"], inherited)}
    annotations = whole["metadata"]["annotations"]
    inputs = annotations[names.ANNOTATION_TEMPLATE_INPUTS_HASH]
    annotations[names.ANNOTATION_TEMPLATE_INPUTS_HASH] = digest({"own": inputs, "inherited": inherited.document()})
    return {**whole, "spec": {**child["spec"], "template": pods}}


def _merged(metadata: dict[str, Any], inherited: InheritedMetadata) -> dict[str, Any]:
    return {
        **metadata,
        "labels": {**inherited.labels, **metadata.get("labels", {})},
        "annotations": {**inherited.annotations, **metadata.get("annotations", {})},
    }
