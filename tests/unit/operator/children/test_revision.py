"""A new operator restarts no pods, until the resource asks for its templates."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from chatfleet_contract import names
from chatfleet_contract.schema import Schema, structural
from chatfleet_contract.spec import ChatDeploymentSpec
from chatfleet_contract.status import ConditionType
from chatfleet_operator.children import build
from chatfleet_operator.children.revision import template_inputs_hash
from chatfleet_operator.model.parse import parse_resource
from chatfleet_operator.model.values import (
    Defaults,
    LiveState,
    Manifest,
    ObjectId,
    Outcome,
    Plan,
    Resource,
    identify,
)
from chatfleet_operator.reconcile.decide import decide
from chatfleet_operator.status.report import report
from harness.kube.operator_world import DEFAULTS, MOMENT, REF, document, observed, resource, settled, spec

NEWER = Defaults(api_image="example.com/api:2", redis_image="example.com/redis:9")
API, REDIS = ObjectId("Deployment", "support"), ObjectId("StatefulSet", "support-redis")
KEDA = {"source": "keda", "keda": {"prometheusURL": "http://prometheus"}}
SLEEPING: dict[str, Any] = {"autoscaling": {"minReplicas": 0, "maxReplicas": 9, **KEDA}}


def upgraded(seen: Resource, live: dict[ObjectId, Manifest] | None = None) -> Plan:
    """Return what a newer operator does where an older one has made `live`; unset: what it made of a small resource."""
    return decide(observed(seen, settled(resource()) if live is None else live), NEWER)


def applied(plan: Plan) -> dict[ObjectId, str]:
    """Return the workloads that are applied, with their images."""
    workloads = (each for each in plan.apply if each["kind"] in {"Deployment", "StatefulSet"})
    return {identify(each): each["spec"]["template"]["spec"]["containers"][0]["image"] for each in workloads}


def test_a_newer_operator_alone_writes_nothing_and_reports_the_newer_revision() -> None:
    seen = resource()
    plan = upgraded(seen)
    status = report(observed(seen), plan, Outcome(), MOMENT)
    before = report(observed(seen), decide(observed(seen), DEFAULTS), Outcome(), MOMENT)

    assert plan.writes == 0
    assert plan.desired
    assert status.template_revision == before.template_revision != plan.desired.newest_revision
    says = {each.type: each.message for each in status.conditions or ()}[ConditionType.PROGRESSING]
    assert f"{names.ANNOTATION_TEMPLATE_REVISION}={plan.desired.newest_revision}" in says
    said = {each.type: each.message for each in before.conditions or ()}[ConditionType.PROGRESSING]
    assert names.ANNOTATION_TEMPLATE_REVISION not in said


@pytest.mark.parametrize("always", [True, False])
def test_a_resource_that_opts_in_gets_the_newest(always: bool) -> None:  # noqa: FBT001  # a parameter of the test
    offered = upgraded(resource()).desired
    assert offered
    wish = names.REVISION_LATEST if always else offered.newest_revision
    plan = upgraded(replace(resource(), template_revision=wish))

    assert applied(plan) == {API: NEWER.api_image, REDIS: NEWER.redis_image}
    assert plan.drifted == frozenset()
    assert plan.desired
    assert plan.desired.revision == plan.desired.newest_revision


def test_an_opt_in_to_an_unknown_revision_changes_nothing() -> None:
    assert upgraded(replace(resource(), template_revision="0123456789abcdef")).writes == 0


def test_the_opt_in_is_an_annotation_of_the_resource() -> None:
    live = document()
    live["metadata"].update(uid="1", resourceVersion="1", generation=1)
    assert parse_resource(live).template_revision == ""
    live["metadata"]["annotations"] = {names.ANNOTATION_TEMPLATE_REVISION: "latest"}
    assert parse_resource(live).template_revision == "latest"


def test_pods_that_restart_anyway_get_the_newest_and_others_stay() -> None:
    plan = upgraded(resource(template={"env": [{"name": "A", "value": "b"}]}))

    assert applied(plan) == {API: NEWER.api_image}


def test_what_reaches_running_pods_still_does_and_restarts_none() -> None:
    plan = upgraded(resource(models=[{"name": "other", "provider": "scripted", "model": "script"}], replicas=5))

    assert [each["kind"] for each in plan.apply] == ["ConfigMap", "Deployment"]
    assert applied(plan) == {API: DEFAULTS.api_image}
    assert plan.apply[1]["spec"]["replicas"] == 5


def test_drift_is_repaired_to_the_template_in_effect() -> None:
    live = deepcopy(settled(resource()))
    live[API]["spec"]["template"]["spec"]["containers"][0]["image"] = "example.com/somebody:3"
    plan = upgraded(resource(), live)

    assert applied(plan) == {API: DEFAULTS.api_image}
    assert plan.drifted == {API}


@pytest.mark.parametrize("text", [None, "", "nonsense", "[]"])
def test_without_a_last_applied_template_the_newest_is_in_effect(text: str | None) -> None:
    live = deepcopy(settled(resource()))
    live[API]["metadata"]["annotations"].pop(names.ANNOTATION_LAST_APPLIED_TEMPLATE)
    if text is not None:
        live[API]["metadata"]["annotations"][names.ANNOTATION_LAST_APPLIED_TEMPLATE] = text

    assert applied(upgraded(resource(), live)) == {API: NEWER.api_image}


def workloads(changes: Mapping[str, Any], secret_uid: str = "uid") -> dict[ObjectId, Manifest]:  # an identity
    wanted = ChatDeploymentSpec.model_validate(spec(**changes))
    found = LiveState(secret_uid=secret_uid)
    children = build(Resource(REF, "uid-1", "1", 1, wanted), wanted, DEFAULTS, live=found).children
    return {identify(each): each for each in children if each["kind"] in {"Deployment", "StatefulSet"}}


KEY = {"name": "keys", "key": "openai"}
TEMPLATES: tuple[Manifest, ...] = (
    {"image": "example.com/own:2"},
    {"resources": {"requests": {"cpu": "1"}}},
    {"nodeSelector": {"disk": "fast"}},
    {"tolerations": [{"key": "chat", "operator": "Exists"}]},
    {"affinity": {"nodeAffinity": {}}},
    {"topologySpreadConstraints": [{"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]},
    {"priorityClassName": "high"},
    {"labels": {"team": "shop"}},
    {"annotations": {"a": "b"}},
    {"env": [{"name": "A", "value": "b"}]},
)
RESTARTING: tuple[Manifest, ...] = (
    *({"template": each} for each in TEMPLATES),
    {"streaming": {"drainSeconds": 7}},
    {"streaming": {"maxStreamSeconds": 99}},
    {"streaming": {"maxStreamsPerPod": 99}},
    {"streaming": {"heartbeatSeconds": 9}},
    {"observability": {"logLevel": "debug"}},
    {"observability": {"logFormat": "text"}},
    {"providers": [{"name": "scripted", "type": "openai", "apiKeySecretRef": KEY}]},
    {"providers": [{"name": "scripted", "type": "openai", "apiKeySecretRef": {**KEY, "key": "other"}}]},
    {"redis": {"managed": {"appendFsync": "always"}}},
    {"redis": {"urlSecretRef": {"name": "redis", "key": "url"}}},
    {"autoscaling": {**SLEEPING["autoscaling"], "activationTimeoutSeconds": 7}},
)


@pytest.mark.parametrize("change", RESTARTING, ids=str)
def test_whatever_changes_a_template_is_among_its_inputs(change: Mapping[str, Any]) -> None:
    before, after = workloads(SLEEPING), workloads({**SLEEPING, **change})
    common = before.keys() & after.keys()
    changed = {key for key in common if before[key]["spec"]["template"] != after[key]["spec"]["template"]}

    assert changed
    for key in changed:
        annotations = [
            each[key]["metadata"]["annotations"][names.ANNOTATION_TEMPLATE_INPUTS_HASH] for each in (before, after)
        ]
        assert annotations[0] != annotations[1]


def test_defaults_are_not_among_the_inputs_of_a_template() -> None:
    """A field that a newer operator adds is then no change."""
    said = workloads({"streaming": {"drainSeconds": 10}, "template": {"env": []}})
    redis = {"name": "support-redis", "key": "url"}

    assert (
        template_inputs_hash(template={}, streaming={}, keys=[], redis=redis).items()
        <= said[API]["metadata"]["annotations"].items()
    )


LIVE = (
    *("replicas", "suspend", "models", "conversations", "exposure", "redis.waitReplicas", "redis.managed.storage"),
    *(f"providers.{part}" for part in ("type", "baseURL", "azure", "timeouts", "retries", "maxConcurrentRequests")),
    *(f"autoscaling.{part}" for part in ("minReplicas", "maxReplicas", "source", "metrics", "behavior", "keda")),
    "streaming.logTTLSeconds",
)
"""Fields of the spec that are no part of a pod template: running pods reload them, or they are not about pods."""


def paths_in(part: object, path: str = "") -> Iterator[str]:
    """Return the paths of all fields in an example, and of those around them."""
    yield path
    for each in part if isinstance(part, list) else ():
        yield from paths_in(each, path)
    for name, value in part.items() if isinstance(part, dict) else ():
        yield from paths_in(value, f"{path}.{name}".removeprefix("."))


def leaves(schema: Schema, path: str = "") -> Iterator[str]:
    """Return the paths of all single fields of a schema."""
    parts = schema.properties or (schema.items.properties if schema.items else None) or {}
    for name, part in parts.items():
        yield from leaves(part, f"{path}.{name}".removeprefix("."))
    if not parts:
        yield path


def test_of_every_field_it_is_known_whether_it_is_part_of_a_template() -> None:
    """A new one is in LIVE, or in RESTARTING and in `template_inputs_hash` of its builder: else changes are lost."""
    fields = set(leaves(structural(ChatDeploymentSpec)))
    live = {field for field in fields if field.startswith(LIVE)}
    restarting = {path for change in RESTARTING for path in paths_in(change)}

    assert fields - live - restarting == set()


def test_another_password_restarts_redis() -> None:
    first, second = (workloads({}, uid)[REDIS]["metadata"]["annotations"] for uid in ("a", "b"))

    assert first[names.ANNOTATION_TEMPLATE_INPUTS_HASH] != second[names.ANNOTATION_TEMPLATE_INPUTS_HASH]
