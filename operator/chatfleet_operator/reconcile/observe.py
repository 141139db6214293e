"""One live snapshot of everything that a decision needs. Independent reads run side by side."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Generic, NamedTuple, TypeVar

from chatfleet_contract import names
from chatfleet_contract.report import PodReport
from chatfleet_contract.spec import ChatDeploymentSpec
from chatfleet_contract.spec.autoscaling import Source
from chatfleet_contract.spec.secrets import SecretKeyRef
from chatfleet_operator.children import possible_children
from chatfleet_operator.model.defaults import Defaults
from chatfleet_operator.model.errors import Refusal, Refused
from chatfleet_operator.model.metrics_api import MetricsApi, MetricsAPIServer
from chatfleet_operator.model.moments import seconds_between
from chatfleet_operator.model.named_secrets import SecretUse
from chatfleet_operator.model.ownership import is_ours
from chatfleet_operator.model.parse import parse_metrics_api
from chatfleet_operator.model.ports import Cluster, Prober
from chatfleet_operator.model.values import Manifest, ObjectId, Observed, Pod, ProbeResult, Ref, Resource, Timestamp
from chatfleet_operator.reconcile.instructions import config_map_id, instructed, instructions, missing_instructions
from chatfleet_operator.reconcile.pod_failures import FINISHED, is_ready
from chatfleet_operator.reconcile.secrets import (
    missing_keys,
    missing_secrets,
    mounted,
    mounted_whole,
    not_allowed,
    redis_url_error,
    references_of,
    restricted_uses,
    secret_id,
)
from chatfleet_operator.reconcile.start_failures import Started, component_of, retries, silent, start_failures

T = TypeVar("T")


async def observe(ref: Ref, cluster: Cluster, prober: Prober, now: Timestamp, *, defaults: Defaults) -> Observed | None:
    """Return the live state of `ref`; None: there is no such ChatDeployment, or it is being deleted.

    A refused read becomes part of the snapshot; a transient failure ends the reconciliation (`errors.Retry`).
    """
    resource = await cluster.resource(ref)
    if resource is None or resource.deleting:
        return None
    references, whole = tuple(dict.fromkeys(references_of(resource.spec))), mounted_whole(resource.spec)
    mounts: tuple[SecretKeyRef | SecretUse, ...] = (*references, *whole)
    uses = restricted_uses(resource) if defaults.restrictions.secrets_need_label else ()
    children, secrets, prompts, listed, issuers, metrics_api = await asyncio.gather(
        _each(possible_children(ref.name), lambda key: cluster.child(ref.namespace, key)),
        _each({*map(secret_id, mounts), *map(secret_id, uses)}, lambda key: cluster.secret(*_secret(resource, key))),
        _each(
            {config_map_id(named) for _, named in instructed(resource.spec)},
            lambda key: cluster.child(ref.namespace, key),
        ),
        _each([PODS], lambda _: cluster.pods(ref.namespace, {names.LABEL_DEPLOYMENT: ref.name})),
        _each(_needs_issuer(resource.spec), lambda _: cluster.token_issuer()),
        _metrics_api(resource.spec, cluster, defaults.metrics_apiserver),
    )
    refused = not_allowed(uses, secrets.found, ref.name)
    every_pod = listed.found.get(PODS, ())
    pods = [pod for pod in every_pod if component_of(pod) == names.COMPONENT_API]
    service = children.found.get(ObjectId("Service", ref.name))
    serves = service is not None and is_ours(service, resource) and any(map(_is_ready, pods))
    ours = {key: live for key, live in children.found.items() if live and is_ours(live, resource)}
    started = Started(ours, every_pod, now)
    reports, probe, events = await asyncio.gather(
        asyncio.gather(*(_report(pod, prober) for pod in pods)),
        _probe(service if serves else None, prober, token=names.probe_token(resource.uid)),
        _failure_events(started, ref.namespace, cluster),
    )
    return Observed(
        resource=resource,
        children={key: live for key, live in children.found.items() if live is not None},
        unreadable={**children.refused, **secrets.refused, **prompts.refused, **listed.refused, **issuers.refused},
        pods=tuple(_pod(pod, report, now) for pod, report in zip(pods, reports, strict=True)),
        missing_secrets=missing_keys(references, secrets.found, refused),
        empty_secrets=missing_secrets(whole, secrets.found, refused),
        refused_secrets=refused,
        redis_url_error=redis_url_error(resource.spec, secrets.found),
        instructions=instructions(resource.spec, prompts.found),
        missing_config_map_keys=missing_instructions(resource.spec, prompts.found),
        mounted_secrets=mounted(resource, mounts, secrets.found, ours, refused),
        probe=probe,
        token_issuer=issuers.found.get(TOKEN_KEYS),
        metrics_api=metrics_api,
        start_failures=start_failures(started, events),
        load_balancer_failure=events.get(ObjectId("Service", ref.name), ""),
        retries=retries(started, events),
    )


CLUSTER_SCOPE = ""
"""The namespace of objects that have none."""

PODS = ObjectId("Pods", "of the ChatDeployment")
"""Stands for the list of pods."""

TOKEN_KEYS = ObjectId("Keys", "of ServiceAccount tokens")
"""Stands for the issuer discovery of the API server."""


class Reads(NamedTuple, Generic[T]):
    found: dict[ObjectId, T]
    refused: dict[ObjectId, Refusal]


async def _each(keys: Iterable[ObjectId], read: Callable[[ObjectId], Awaitable[T]]) -> Reads[T]:
    """Read each of `keys` concurrently; refusals are noted."""
    reads: Reads[T] = Reads({}, {})

    async def one(key: ObjectId) -> None:
        try:
            reads.found[key] = await read(key)
        except Refused as error:
            reads.refused[key] = error.refusal

    await asyncio.gather(*map(one, keys))
    return reads


def _secret(resource: Resource, key: ObjectId) -> tuple[str, str, str]:
    """Return the namespace and name of a Secret, and the key in it that has the URL of Redis."""
    url = resource.spec.redis.url_secret_ref if resource.spec else None
    return resource.ref.namespace, key.name, url.key if url and url.name == key.name else ""


def _needs_issuer(spec: ChatDeploymentSpec | None) -> tuple[ObjectId, ...]:
    return (TOKEN_KEYS,) if spec is not None and spec.access.service_accounts else ()


async def _metrics_api(
    spec: ChatDeploymentSpec | None, cluster: Cluster, server: MetricsAPIServer | None
) -> MetricsApi | None:
    """Return who serves the metrics of pods, where that matters; an operator of a few namespaces may not read it."""
    if spec is None or spec.autoscaling is None or spec.autoscaling.source is not Source.BUILTIN:
        return None
    services = [ObjectId("APIService", name) for name in names.METRICS_APIS]
    reads = await _each(services, lambda key: cluster.child(CLUSTER_SCOPE, key))
    if reads.refused:
        return None
    api = parse_metrics_api(live for live in reads.found.values() if live)
    answers = api.foreign or (api.served and not api.unavailable)
    if server is None or answers or spec.suspend or not spec.autoscaling.needs_metrics_api_server:
        return api
    key = ObjectId("Deployment", server.name)
    own = await _each([key], lambda key: cluster.child(server.namespace, key))
    return replace(api, deployment=own.found.get(key))


async def _failure_events(started: Started, namespace: str, cluster: Cluster) -> dict[ObjectId, str]:
    """Return what Events have about silent objects; without the right to read them, nothing."""
    waiting = silent(started)
    events = await _each(waiting, lambda key: cluster.event(namespace, waiting[key]))
    return {key: words for key, words in events.found.items() if words}


async def _report(pod: Manifest, prober: Prober) -> PodReport | None:
    ip = _status(pod).get("podIP")
    return await prober.report(str(ip)) if ip and _status(pod).get("phase") == "Running" else None


async def _probe(service: Manifest | None, prober: Prober, *, token: str) -> ProbeResult | None:
    spec = (service or {}).get("spec") or {}
    address, ports = spec.get("clusterIP"), spec.get("ports")
    if not address or address == "None" or not ports:
        return None
    return await prober.probe(str(address), int(ports[0]["port"]), token=token)


def _status(pod: Manifest) -> Mapping[str, object]:
    status: Mapping[str, object] = pod.get("status") or {}
    return status


def _is_ready(pod: Manifest) -> bool:
    return "deletionTimestamp" not in pod["metadata"] and is_ready(pod)


def _pod(pod: Manifest, report: PodReport | None, now: Timestamp) -> Pod:
    metadata = pod["metadata"]
    annotations: Mapping[str, str] = metadata.get("annotations") or {}
    return Pod(
        name=metadata["name"],
        ready=_is_ready(pod),
        terminating="deletionTimestamp" in metadata or _status(pod).get("phase") in FINISHED,
        config_annotation=annotations.get(names.ANNOTATION_CONFIG_HASH),
        created=metadata.get("creationTimestamp", ""),
        secrets_annotation=annotations.get(names.ANNOTATION_SECRETS_HASH),
        report=report.model_copy(update={"pod": metadata["name"]}) if report else None,  # whatever it calls itself
        deletion_cost=_cost(annotations.get(names.POD_DELETION_COST, "")),
        deletion_cost_age=seconds_between(annotations.get(names.ANNOTATION_DELETION_COST_TIME), now),
    )


def _cost(text: str) -> int:
    """Return a deletion cost as Kubernetes reads it: absent or invalid is 0."""
    try:
        return int(text)
    except ValueError:
        return 0
