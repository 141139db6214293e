"""Exposed has the addresses of the Service, and what its load balancer reports."""

from dataclasses import replace
from typing import Any

import pytest

from chatfleet_operator.model.errors import Refusal
from chatfleet_operator.model.values import ObjectId, Observed, Outcome
from harness.kube.operated_cluster import foreign, resource
from unit.operator.status.test_conditions import condition, evaluate_conditions, serving, status_and_reason, without

SERVICE = ObjectId("Service", "support")


def exposed(kind: str, port: int = 80, *, spec: dict[str, Any] | None = None, **status: Any) -> Observed:  # noqa: ANN401  # JSON
    """Return a snapshot whose Service has a type; `spec` and `status` are parts of it."""
    seen = serving(resource(exposure={"service": {"type": kind, "port": port}}))
    live = seen.children[SERVICE]
    changed = {**live, "spec": {**live["spec"], **(spec or {})}, "status": {"loadBalancer": status}}
    return replace(seen, children={**seen.children, SERVICE: changed})


PENDING = exposed("LoadBalancer")
FAILED = replace(PENDING, load_balancer_failure="Error syncing load balancer: quota of addresses exceeded")
PORT_ERROR = [{"ip": "203.0.113.7", "ports": [{"port": 80, "protocol": "TCP", "error": "PortInUse"}]}]


@pytest.mark.parametrize(
    ("seen", "expected", "words", "url"),
    [
        (exposed("ClusterIP"), "True ClusterIP", "reachable inside the cluster", None),
        (exposed("NodePort", spec={"ports": [{"port": 80, "nodePort": 30080}]}), "True NodePort", "port 30080", None),
        (PENDING, "Unknown LoadBalancerPending", "no address of a load balancer yet", None),
        (FAILED, "False LoadBalancerFailed", "quota of addresses exceeded", None),
        (
            replace(exposed("LoadBalancer", ingress=[{"ip": "203.0.113.7"}]), load_balancer_failure="an old one"),
            "True LoadBalancerReady",
            "address 203.0.113.7",
            "http://203.0.113.7",
        ),
        (
            exposed("LoadBalancer", 8080, ingress=[{"hostname": "lb.example.com"}]),
            "True LoadBalancerReady",
            "address lb.example.com",
            "http://lb.example.com:8080",
        ),
        (
            exposed("LoadBalancer", 8080, ingress=[{"ip": "2001:db8::7"}]),
            "True LoadBalancerReady",
            "address 2001:db8::7",
            "http://[2001:db8::7]:8080",
        ),
        (
            exposed("LoadBalancer", ingress=PORT_ERROR),
            "False LoadBalancerFailed",
            "reports: PortInUse",
            "http://203.0.113.7",
        ),
        (exposed("LoadBalancer", ingress=[{}]), "Unknown LoadBalancerPending", "check that the cluster", None),
        (without(serving(), SERVICE), "False Blocked", "See ConfigurationValid", None),
        (
            replace(serving(), children={**serving().children, SERVICE: foreign(serving().children[SERVICE])}),
            "False Blocked",
            "See ConfigurationValid",
            None,
        ),
        (exposed("ClusterIP", spec={"type": "ExternalName"}), "False Blocked", "not written as the spec has it", None),
        (replace(serving(), resource=replace(resource(), spec=None)), "False Blocked", "See ConfigurationValid", None),
    ],
)
def test_the_address_of_the_service_is_reported(seen: Observed, expected: str, words: str, url: str | None) -> None:
    status = evaluate_conditions(seen)

    assert status_and_reason(status, "Exposed") == expected
    assert words in condition(status, "Exposed").message
    assert status.external_url == url


def test_a_service_that_the_api_server_rejects_is_not_exposed() -> None:
    refused = Outcome(refused={SERVICE: Refusal("exceeded quota: services.loadbalancers")})
    status = evaluate_conditions(exposed("ClusterIP"), refused)

    assert status_and_reason(status, "Exposed") == "False Blocked"
    assert status.document()["url"] == "http://support.shop.svc"
    assert "externalURL" not in status.document()
