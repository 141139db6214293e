"""`spec.template`: additions to the pod template."""

from typing import Annotated, Final

from pydantic import ConfigDict, Field

from chatfleet_contract import names
from chatfleet_contract.parts import Json, Part, keyed, rule, rules
from chatfleet_contract.spec.reserved import annotation_rule, label_rule
from chatfleet_contract.spec.secrets import Subdomain

# Parts of a pod that are copied without change. Their schema is Kubernetes' own (`pod_fields`).
Resources = Annotated[Json, Field(json_schema_extra={"podField": "ResourceRequirements"})]
Toleration = Annotated[Json, Field(json_schema_extra={"podField": "Toleration"})]
Affinity = Annotated[Json, Field(json_schema_extra={"podField": "Affinity"})]
TopologySpreadConstraint = Annotated[Json, Field(json_schema_extra={"podField": "TopologySpreadConstraint"})]
EnvVar = Annotated[Json, Field(json_schema_extra={"podField": "EnvVar"})]

_PART: Final = "[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*"
_REGISTRY: Final = r"([a-zA-Z0-9][-.a-zA-Z0-9]*|\\[[0-9a-fA-F:]+\\])(:[0-9]+)?"
_TAG: Final = r"[a-zA-Z0-9_][-.a-zA-Z0-9_]{0,127}"
_DIGEST: Final = r"[a-z0-9]+([-+._][a-z0-9]+)*:[0-9a-fA-F]{32,128}"
_IMAGE: Final = f"^({_REGISTRY}/)?{_PART}(/{_PART})*(:{_TAG})?(@{_DIGEST})?$"
"""A reference as container runtimes parse it."""


class PullSecret(Part):
    """A Secret with the credentials of a registry."""

    name: Subdomain = Field(description="Name of the Secret, of type kubernetes.io/dockerconfigjson.")


class Scheduling(Part):
    """Where pods run, and with what. Fields are those of a Kubernetes pod."""

    resources: Resources = Field(default_factory=dict, description="Resource requests and limits of the container.")
    node_selector: Annotated[dict[str, str], Field(max_length=64)] = Field(
        default_factory=dict, description="Labels that a node must have to run the pods."
    )
    tolerations: Annotated[list[Toleration], Field(max_length=64)] = Field(
        default_factory=list, description="Tolerations of the pods."
    )
    affinity: Affinity = Field(default_factory=dict, description="Affinity of the pods.")
    priority_class_name: Subdomain | None = Field(None, description="PriorityClass of the pods.")


class InheritedMetadata(Part):
    """Labels and annotations of every object that the operator creates for this ChatDeployment, and of its pods."""

    model_config = ConfigDict(
        json_schema_extra=rules(label_rule("inheritedMetadata"), annotation_rule("inheritedMetadata"))
    )

    labels: Annotated[dict[str, str], Field(max_length=64)] = Field(
        default_factory=dict, description="Labels, for example of a team or a cost centre."
    )
    annotations: Annotated[dict[str, str], Field(max_length=64)] = Field(
        default_factory=dict, description="Annotations."
    )


class ServiceAccountSettings(Part):
    """The ServiceAccount of the pods."""

    model_config = ConfigDict(json_schema_extra=rules(annotation_rule("serviceAccount")))

    annotations: Annotated[dict[str, str], Field(max_length=64)] = Field(
        default_factory=dict, description="Annotations, for example the role of a cloud's workload identity."
    )


class Template(Scheduling):
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
                "!has(self.topologySpreadConstraints) || self.topologySpreadConstraints.all(c, has(c.labelSelector))",
                "template.topologySpreadConstraints[] must have a labelSelector, because a constraint without one"
                f" counts no pods; add matchLabels with {names.LABEL_DEPLOYMENT}",
                ".topologySpreadConstraints",
            ),
            label_rule("template"),
            annotation_rule("template"),
        )
    )

    image: Annotated[str, Field(min_length=1, max_length=512)] | None = Field(
        None,
        description="Image of the API. Unset: the image configured in the operator. Ignored with restrictTemplate of"
        " the operator.",
    )
    resources: Resources = Field(
        default_factory=dict,
        description="Resource requests and limits of the container. Unset: requests of 50m CPU and 128Mi memory.",
    )
    image_pull_secrets: Annotated[list[PullSecret], Field(max_length=16, json_schema_extra=keyed("name"))] = Field(
        default_factory=list,
        description="Secrets with the credentials of registries, for all pods of this ChatDeployment. An operator with"
        " secretsNeedLabel uses them only with the label chatfleet.io/allowed.",
    )
    topology_spread_constraints: Annotated[list[TopologySpreadConstraint], Field(max_length=16)] = Field(
        default_factory=list, description="Topology spread constraints of the pods."
    )
    labels: Annotated[dict[str, str], Field(max_length=64)] = Field(
        default_factory=dict, description="Additional labels of the pods."
    )
    annotations: Annotated[dict[str, str], Field(max_length=64)] = Field(
        default_factory=dict, description="Additional annotations of the pods."
    )
    env: Annotated[list[EnvVar], Field(max_length=128)] = Field(
        default_factory=list,
        description="Additional environment variables of the container. Variables with valueFrom are ignored with"
        " restrictTemplate of the operator.",
    )
