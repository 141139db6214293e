"""`spec.template`: additions to the pod template."""

from typing import Annotated

from pydantic import Field

from chatfleet_contract.parts import PRESERVE, Json, Part

PodField = Annotated[Json, Field(json_schema_extra=PRESERVE)]
"""A part of a pod's spec that is copied without change; the API server validates it in the Deployment."""


class Template(Part):
    """Additions to the pod template. Fields are those of a Kubernetes pod."""

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
