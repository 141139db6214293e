"""`spec.template`: additions to the pod template."""

from typing import Annotated, Final

from pydantic import ConfigDict, Field

from chatfleet_contract import names
from chatfleet_contract.parts import PRESERVE, Json, Part, rule, rules

PodField = Annotated[Json, Field(json_schema_extra=PRESERVE)]
"""A part of a pod's spec that is copied without change; the API server validates it in the Deployment."""


_PART: Final = "[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*"
_REGISTRY: Final = r"([a-zA-Z0-9][-.a-zA-Z0-9]*|\\[[0-9a-fA-F:]+\\])(:[0-9]+)?"
_TAG: Final = r"[a-zA-Z0-9_][-.a-zA-Z0-9_]{0,127}"
_DIGEST: Final = r"[a-z0-9]+([-+._][a-z0-9]+)*:[0-9a-fA-F]{32,128}"
_IMAGE: Final = f"^({_REGISTRY}/)?{_PART}(/{_PART})*(:{_TAG})?(@{_DIGEST})?$"
"""A reference as container runtimes parse it."""

_OURS: Final = [names.LABEL_NAME, names.LABEL_INSTANCE, names.LABEL_MANAGED_BY]


class Template(Part):
    """Additions to the pod template. Fields are those of a Kubernetes pod."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                f"!has(self.image) || self.image.matches('{_IMAGE}')",
                "template.image must be a reference to an image, without scheme or spaces, in lower case up to the tag;"
                " write it like registry.example.com/team/chat:1.2",
                ".image",
            ),
            rule(
                f"!has(self.labels) || self.labels.all(key, !key.startsWith('{names.GROUP}/') && !(key in {_OURS}))",
                f"template.labels must not have keys of {names.GROUP} or the labels"
                f" {', '.join(_OURS)}, because the operator sets them; remove them",
                ".labels",
            ),
            rule(
                f"!has(self.annotations) || self.annotations.all(key, !key.startsWith('{names.GROUP}/'))",
                f"template.annotations must not have keys of {names.GROUP}, because the operator sets them; remove"
                " them",
                ".annotations",
            ),
        )
    )

    image: Annotated[str, Field(min_length=1, max_length=512)] | None = Field(
        None, description="Image of the API. Unset: the image configured in the operator."
    )
    resources: PodField = Field(default_factory=dict, description="Resource requests and limits of the container.")
    node_selector: Annotated[dict[str, str], Field(max_length=64)] = Field(
        default_factory=dict, description="Labels that a node must have to run the pods."
    )
    tolerations: Annotated[list[PodField], Field(max_length=64)] = Field(
        default_factory=list, description="Tolerations of the pods."
    )
    affinity: PodField = Field(default_factory=dict, description="Affinity of the pods.")
    topology_spread_constraints: Annotated[list[PodField], Field(max_length=16)] = Field(
        default_factory=list, description="Topology spread constraints of the pods."
    )
    priority_class_name: Annotated[str, Field(max_length=253)] | None = Field(
        None, description="PriorityClass of the pods."
    )
    labels: Annotated[dict[str, str], Field(max_length=64)] = Field(
        default_factory=dict, description="Additional labels of the pods."
    )
    annotations: Annotated[dict[str, str], Field(max_length=64)] = Field(
        default_factory=dict, description="Additional annotations of the pods."
    )
    env: Annotated[list[PodField], Field(max_length=128)] = Field(
        default_factory=list, description="Additional environment variables of the container."
    )
