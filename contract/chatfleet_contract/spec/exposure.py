"""`spec.exposure`: how clients reach the pods."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from chatfleet_contract.parts import Part, rules
from chatfleet_contract.spec.reserved import annotation_rule


class ServiceType(StrEnum):
    """Supported types of the Service."""

    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"


class ServiceExposure(Part):
    """The Service in front of the pods."""

    model_config = ConfigDict(json_schema_extra=rules(annotation_rule("exposure.service")))

    type: ServiceType = Field(ServiceType.CLUSTER_IP, description="Type of the Service.")
    port: int = Field(80, ge=1, le=65_535, description="Port of the Service.")
    annotations: Annotated[dict[str, str], Field(max_length=64)] = Field(
        default_factory=dict, description="Annotations of the Service, for example for a load balancer."
    )


class Exposure(Part):
    """How clients reach the pods."""

    service: ServiceExposure = Field(ServiceExposure(), description="The Service in front of the pods.")
