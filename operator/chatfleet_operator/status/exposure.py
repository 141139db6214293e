"""Where clients reach the API: the URL inside the cluster, and the one of a load balancer."""

from typing import Final, NamedTuple

from chatfleet_contract.spec.exposure import ServiceType
from chatfleet_operator.model.values import Manifest, ObjectId
from chatfleet_operator.status.assessment import Assessment

HTTP_PORT: Final = 80
"""The default port of a URL."""


class LoadBalancer(NamedTuple):
    """What the status of a Service has about its load balancer."""

    host: str
    """Its hostname or IP address."""
    error: str = ""
    """Its error about a port; empty: there is none."""


def service(assessment: Assessment) -> Manifest | None:
    """Return the Service for clients; None: it is absent or not ours."""
    return assessment.child(ObjectId("Service", assessment.seen.resource.ref.name))


def load_balancer(assessment: Assessment) -> LoadBalancer | None:
    """Return the load balancer of the Service; None: it has no address yet, or the type is another one."""
    live = service(assessment)
    if live is None or live["spec"].get("type") != ServiceType.LOAD_BALANCER:
        return None
    status = (live.get("status") or {}).get("loadBalancer") or {}
    for point in status.get("ingress") or ():
        if host := point.get("hostname") or point.get("ip"):
            errors = (port.get("error") for port in point.get("ports") or ())
            return LoadBalancer(str(host), str(next(filter(None, errors), "")))
    return None


def internal_url(assessment: Assessment) -> str | None:
    """Return the URL inside the cluster; None: there is no Service of ours."""
    ref = assessment.seen.resource.ref
    return _url(assessment, f"{ref.name}.{ref.namespace}.svc") if service(assessment) else None


def external_url(assessment: Assessment) -> str | None:
    """Return the URL of the load balancer; None: it has no address."""
    found = load_balancer(assessment)
    return _url(assessment, found.host) if found else None


def _url(assessment: Assessment, host: str) -> str | None:
    if assessment.spec is None:
        return None
    port = assessment.spec.exposure.service.port
    literal = f"[{host}]" if ":" in host else host
    return f"http://{literal}" if port == HTTP_PORT else f"http://{literal}:{port}"
