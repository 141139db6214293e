"""A fleet's settings as what `kubectl apply` takes: namespace, Secret, a way to this machine, ChatDeployment. Pure."""

from collections.abc import Callable
from typing import Any, Final

from chatfleet_contract.spec import Access, ChatDeploymentSpec, ManagedRedis, Redis
from chatfleet_contract.spec.providers import Provider, Timeouts
from chatfleet_contract.spec.secrets import SecretKeyRef
from chatfleet_lab.chaos.fleet import Settings, UpstreamKind, models

NAME: Final = "chaos"
"""Of the ChatDeployment, and of the Secret with its key and the URL of Redis."""
HARNESS: Final = "harness"
"""Service without an address of its own, whose name leads to this machine, on any port."""
_KEY: Final = SecretKeyRef(name=NAME, key="api-key")
_REDIS: Final = SecretKeyRef(name=NAME, key="redis-url")


def manifests(namespace: str, host: str, spec: ChatDeploymentSpec, redis_url: str | None) -> list[dict[str, Any]]:
    """Return all that a fleet needs; pods find this machine at the address `host`."""
    inside = {"namespace": namespace}
    of_service = {"kubernetes.io/service-name": HARNESS}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": NAME, **inside},
            "stringData": {_KEY.key: "sk-chaos", _REDIS.key: redis_url or ""},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": HARNESS, **inside},
            "spec": {"clusterIP": "None", "ports": [{"port": 80}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "addressType": "IPv4",
            "metadata": {"name": HARNESS, "labels": of_service, **inside},
            "endpoints": [{"addresses": [host], "conditions": {"ready": True}}],
            "ports": [{"port": 80}],
        },
        {
            "apiVersion": "chatfleet.io/v1beta1",
            "kind": "ChatDeployment",
            "metadata": {"name": NAME, **inside},
            "spec": spec.document(),
        },
    ]


def spec_of(settings: Settings, pods: int, upstream: Callable[[str], str]) -> ChatDeploymentSpec:
    """Return the spec; `upstream` tells, by a provider's name, where pods find what it asks.

    Where the scenario brings no Redis, the operator makes one, as a ChatDeployment is never without. Signals go to the
    process itself, and not by way of the pod's deletion, so there is no hook that delays them.
    """
    return ChatDeploymentSpec(
        replicas=pods,
        providers=[_provider(name, kind, settings, upstream(name)) for name, kind in settings.upstreams()],
        models=[*models(settings)],
        access=Access(anonymous=True),
        redis=Redis(url_secret_ref=_REDIS, wait_replicas=settings.wait_replicas)
        if settings.redis_url
        else Redis(managed=ManagedRedis(storage="64Mi")),
        streaming=settings.streaming.model_copy(update={"drain_seconds": 0}),
    )


def _provider(name: str, kind: UpstreamKind, settings: Settings, origin: str) -> Provider:
    return Provider.model_validate(
        {
            "name": name,
            "apiKeySecretRef": _KEY,
            "timeouts": Timeouts.model_validate(settings.timeouts.model_dump()),
            "retries": settings.retries,
            "maxConcurrentRequests": 10_000,
            **kind.settings(origin),
        }
    )
