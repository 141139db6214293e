"""From the API server's JSON to our values."""

import base64
from collections.abc import Iterable, Mapping

from pydantic import ValidationError

from chatfleet_contract import names
from chatfleet_contract.redis_url import read_redis_url
from chatfleet_contract.spec import ChatDeploymentSpec
from chatfleet_contract.status import ChatDeploymentStatus
from chatfleet_operator.model.errors import truncate
from chatfleet_operator.model.metrics_api import MetricsApi
from chatfleet_operator.model.named_secrets import NamedSecret
from chatfleet_operator.model.values import Manifest, Ref, Resource

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""Where `kubectl apply` keeps a copy of what it applied: in a Secret, a copy of the values."""


def parse_resource(live: Manifest) -> Resource:
    """Return the ChatDeployment that `live` is. A spec that cannot be read is a value with its reason, not an error."""
    metadata = live["metadata"]
    annotations: Mapping[str, str] = metadata.get("annotations") or {}
    spec, problem = _spec(live.get("spec") or {})
    return Resource(
        ref=Ref(metadata["namespace"], metadata["name"]),
        uid=metadata["uid"],
        version=metadata["resourceVersion"],
        generation=metadata["generation"],
        spec=spec,
        problem=problem,
        template_revision=annotations.get(names.ANNOTATION_TEMPLATE_REVISION, ""),
        deleting="deletionTimestamp" in metadata,
        paused=annotations.get(names.ANNOTATION_RECONCILE) == names.RECONCILE_PAUSED,
        annotation_problem=_annotation_problem(annotations),
        status=_status(live.get("status") or {}),
    )


def _spec(document: Manifest) -> tuple[ChatDeploymentSpec | None, str]:
    try:
        return ChatDeploymentSpec.model_validate(document), ""
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in ("spec", *first["loc"]))
        return None, truncate(f"{where}: {first['msg']}")


def _annotation_problem(annotations: Mapping[str, str]) -> str:
    """Return which annotation has no effect, and the remedy: without it, a typo would pause nothing in silence."""
    key = names.ANNOTATION_RECONCILE
    value = annotations.get(key, names.RECONCILE_PAUSED)
    if value != names.RECONCILE_PAUSED:
        remedy = f"Set {names.RECONCILE_PAUSED} or remove the annotation."
        return f"The value {truncate(value)!r} of the annotation {key} has no effect. {remedy}"
    ours = (name for name in sorted(annotations) if name.startswith(f"{names.GROUP}/"))
    unknown = next((name for name in ours if name not in names.RESOURCE_ANNOTATIONS), "")
    if not unknown:
        return ""
    return f"The annotation {unknown} has no effect. Correct it to {' or '.join(names.RESOURCE_ANNOTATIONS)}."


def _status(document: Manifest) -> ChatDeploymentStatus:
    """Return the status; one that cannot be read counts as none, and is written anew."""
    try:
        return ChatDeploymentStatus.model_validate(document)
    except ValidationError:
        return ChatDeploymentStatus.model_validate({})


def blank_values(live: Manifest) -> Manifest:
    """Return `live` without the values of a Secret; its keys stay."""
    if live["kind"] != "Secret":
        return live
    metadata = live["metadata"]
    annotations = {key: text for key, text in (metadata.get("annotations") or {}).items() if key != LAST_APPLIED}
    return {
        **live,
        "metadata": {**metadata, "annotations": annotations},
        "data": dict.fromkeys(live.get("data") or {}, ""),
    }


def parse_secret(live: Manifest | None, redis_url_key: str = "") -> NamedSecret:
    """Return what is known of a Secret, of which `redis_url_key` has the URL of Redis; None: there is none."""
    if live is None:
        return NamedSecret()
    metadata = live["metadata"]
    writes = [str(entry.get("time", "")) for entry in metadata.get("managedFields") or ()]
    data: Mapping[str, str] = live.get("data") or {}
    return NamedSecret(
        keys=frozenset(data),
        allowed=(metadata.get("labels") or {}).get(names.LABEL_ALLOWED, ""),
        version=f"{metadata['uid']}/{metadata['resourceVersion']}",
        written=max([*writes, str(metadata.get("creationTimestamp", ""))]),
        redis_url_error=_redis_url_error(data[redis_url_key]) if redis_url_key in data else "",
    )


def _redis_url_error(encoded: str) -> str:
    try:
        read_redis_url(base64.b64decode(encoded).decode())
    except UnicodeDecodeError:
        return "the URL of Redis is not text in UTF-8"
    except ValueError as error:
        return str(error)
    return ""


def parse_metrics_api(services: Iterable[Manifest]) -> MetricsApi:
    """Return who serves the metrics of pods by its APIServices: one that is not ours makes all of them foreign."""
    found = list(services)
    others = (
        each for each in found if each["metadata"].get("labels", {}).get(names.LABEL_MANAGED_BY) != names.MANAGED_BY
    )
    foreign = next(others, None)
    reasons = [_unavailable(each) for each in found]  # of several versions, one that answers is enough
    unavailable = reasons[0] if all(reasons) and reasons else ""
    return MetricsApi(served=bool(found), foreign=_server(foreign) if foreign else "", unavailable=unavailable)


def _unavailable(api_service: Manifest) -> str:
    """Return why the API server cannot reach the server of an APIService; empty: it can, or has not tried."""
    for condition in (api_service.get("status") or {}).get("conditions") or []:
        if (condition.get("type"), condition.get("status")) == ("Available", "False"):
            return truncate(f"{condition.get('reason')}: {condition.get('message')}")
    return ""


def _server(api_service: Manifest) -> str:
    """Return the Service behind an APIService, or its own name where there is none."""
    service = (api_service.get("spec") or {}).get("service")
    return f"{service['namespace']}/{service['name']}" if service else str(api_service["metadata"]["name"])
