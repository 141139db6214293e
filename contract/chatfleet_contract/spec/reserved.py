"""Keys of labels and annotations that users cannot set, because a controller sets them: ours, or one of Kubernetes."""

from typing import Final

from chatfleet_contract import names
from chatfleet_contract.parts import Json, rule

LABELS: Final = (
    *(names.LABEL_NAME, names.LABEL_INSTANCE, names.LABEL_MANAGED_BY),
    *("pod-template-hash", "controller-revision-hash"),
)
ANNOTATIONS: Final = (
    f"{names.GROUP}/",
    *("deployment.kubernetes.io/", "pv.kubernetes.io/", "volume.kubernetes.io/", "volume.beta.kubernetes.io/"),
    *("kubectl.kubernetes.io/last-applied-configuration", names.POD_DELETION_COST),
)
"""Beginnings of keys. With one of a controller, operator and controller would replace each other's value for ever."""


def label_rule(part: str) -> Json:
    """Return the rule that the labels of `part` leave those of controllers alone."""
    return rule(
        f"!has(self.labels) || self.labels.all(key, !key.startsWith('{names.GROUP}/') && !(key in {list(LABELS)}))",
        f"{part}.labels must not have keys of {names.GROUP}, pod-template-hash, controller-revision-hash, or"
        " app.kubernetes.io/name, /instance or /managed-by, which controllers set; remove them",
        ".labels",
    )


def annotation_rule(part: str) -> Json:
    """Return the rule that the annotations of `part` leave those of controllers alone."""
    return rule(
        f"!has(self.annotations) || self.annotations.all(key, !{list(ANNOTATIONS)}.exists(own, key.startsWith(own)))",
        f"{part}.annotations must not have keys of {names.GROUP}, or those that kubectl apply and controllers of"
        " Kubernetes set, such as deployment.kubernetes.io/revision; remove them",
        ".annotations",
    )
