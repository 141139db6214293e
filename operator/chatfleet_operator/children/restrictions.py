"""What the operator's settings do not allow is left out of the pods: fields of the template, and Secrets. Pure.

Also out of pods that run: a rollout takes it from them. Conditions name what is missing (`status/`).
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

from chatfleet_contract import names
from chatfleet_contract.spec import ChatDeploymentSpec
from chatfleet_operator.children.labels import digest
from chatfleet_operator.model.named_secrets import secret_of_variable
from chatfleet_operator.model.values import Manifest


def refused_fields(spec: ChatDeploymentSpec) -> tuple[str, ...]:
    """Return the fields of `spec` by which its author could run other code, or read what the namespace holds."""
    image = ("spec.template.image",) if spec.template.image else ()
    sources = (index for index, variable in enumerate(spec.template.env) if "valueFrom" in variable)
    return (*image, *(f"spec.template.env[{index}].valueFrom" for index in sources))


def without_refused_fields(spec: ChatDeploymentSpec) -> ChatDeploymentSpec:
    """Return `spec` without them."""
    env = [variable for variable in spec.template.env if "valueFrom" not in variable]
    return spec.model_copy(update={"template": spec.template.model_copy(update={"image": None, "env": env})})


def without_secrets(child: Manifest, refused: frozenset[str]) -> Manifest:
    """Return `child` with pods that neither mount nor pull with a Secret of `refused`, nor read one as a variable.

    The hash of the template's inputs changes with them, so that no earlier template stays in effect.
    """
    template = child.get("spec", {}).get("template")
    if template is None or not refused:
        return child
    pods, dropped = deepcopy(template["spec"]), set[str]()
    for holder, field, secret_of in _references(pods):
        found = {secret_of(item) for item in holder.get(field) or ()} & refused
        if found:
            holder[field] = [item for item in holder[field] if secret_of(item) not in refused]
            dropped |= found
    if not dropped:
        return child
    annotations = dict(child["metadata"]["annotations"])
    inputs = {"own": annotations[names.ANNOTATION_TEMPLATE_INPUTS_HASH], "without": sorted(dropped)}
    annotations[names.ANNOTATION_TEMPLATE_INPUTS_HASH] = digest(inputs)
    return {
        **child,
        "metadata": {**child["metadata"], "annotations": annotations},
        "spec": {**child["spec"], "template": {**template, "spec": pods}},
    }


def _references(pods: Manifest) -> Iterator[tuple[Manifest, str, Callable[[Any], str]]]:
    """Yield every list of a pod's spec whose items may refer to Secrets: its holder, its field, and how they do."""
    yield pods, "imagePullSecrets", lambda item: str(item.get("name", ""))
    for container in pods["containers"]:
        yield container, "env", secret_of_variable
    for volume in pods.get("volumes") or ():
        if "projected" in volume:
            yield volume["projected"], "sources", lambda item: str((item.get("secret") or {}).get("name", ""))
