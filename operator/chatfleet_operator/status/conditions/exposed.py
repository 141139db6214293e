"""Exposed: the Service has the addresses that its type promises. What a load balancer reports is in its own words."""

from typing import Final

from chatfleet_contract.spec.exposure import ServiceType
from chatfleet_contract.status import Reason
from chatfleet_operator.model.errors import truncate
from chatfleet_operator.model.values import ObjectId
from chatfleet_operator.status.assessment import Assessment
from chatfleet_operator.status.conditions.result import ConditionResult, Rule, false, true, unknown
from chatfleet_operator.status.exposure import load_balancer, service


def _service(assessment: Assessment) -> ObjectId:
    return ObjectId("Service", assessment.seen.resource.ref.name)


def _type(assessment: Assessment) -> ServiceType | None:
    return assessment.spec.exposure.service.type if assessment.spec else None


def _not_written(assessment: Assessment) -> ConditionResult | None:
    key, live, wanted = _service(assessment), service(assessment), _type(assessment)
    if live and wanted and key not in assessment.refused and (live["spec"].get("type") or "ClusterIP") == wanted:
        return None
    return false(Reason.BLOCKED, f"{key} is not written as the spec has it. See ConfigurationValid.")


def _by_cluster_ip(assessment: Assessment) -> ConditionResult | None:
    if _type(assessment) is not ServiceType.CLUSTER_IP:
        return None
    return true(Reason.CLUSTER_IP, f"{_service(assessment)} is reachable inside the cluster, as its type is ClusterIP.")


def _by_node_port(assessment: Assessment) -> ConditionResult | None:
    live = service(assessment)
    if live is None or _type(assessment) is not ServiceType.NODE_PORT:
        return None
    ports = ", ".join(str(port["nodePort"]) for port in live["spec"].get("ports") or () if port.get("nodePort"))
    return true(Reason.NODE_PORT, f"Each node serves {_service(assessment)} on port {ports}.")


def _load_balancer_failed(assessment: Assessment) -> ConditionResult | None:
    found, key = load_balancer(assessment), _service(assessment)
    if found and found.error:
        return false(Reason.LOAD_BALANCER_FAILED, f"The load balancer of {key} reports: {truncate(found.error)}")
    failure = assessment.seen.load_balancer_failure
    if found or not failure:
        return None
    return false(Reason.LOAD_BALANCER_FAILED, f"{key} has no address of a load balancer: {truncate(failure)}")


def _load_balancer_pending(assessment: Assessment) -> ConditionResult | None:
    if load_balancer(assessment):
        return None
    return unknown(
        Reason.LOAD_BALANCER_PENDING,
        f"{_service(assessment)} has no address of a load balancer yet."
        " If this lasts, check that the cluster has a controller for load balancers.",
    )


def _by_load_balancer(assessment: Assessment) -> ConditionResult:
    found = load_balancer(assessment)
    address = found.host if found else ""
    return true(Reason.LOAD_BALANCER_READY, f"The load balancer of {_service(assessment)} has the address {address}.")


RULES: Final[tuple[Rule, ...]] = (
    _not_written,
    _by_cluster_ip,
    _by_node_port,
    _load_balancer_failed,
    _load_balancer_pending,
    _by_load_balancer,
)
