"""A new operator restarts no pods, until the resource asks for its templates."""

from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest

from chatfleet_contract import names
from chatfleet_contract.schema import structural
from chatfleet_contract.spec import ChatDeploymentSpec
from chatfleet_contract.status import ConditionType
from chatfleet_operator.children import BUILDERS, autoscaler, scaled_object
from chatfleet_operator.children.config import runtime_config
from chatfleet_operator.children.context import BuildContext
from chatfleet_operator.children.inherited import inherit
from chatfleet_operator.children.kinds import WORKLOADS
from chatfleet_operator.children.labels import Owner
from chatfleet_operator.children.revision import template_inputs_hash
from chatfleet_operator.model.defaults import Defaults
from chatfleet_operator.model.parse import parse_resource
from chatfleet_operator.model.values import LiveState, Manifest, ObjectId, Outcome, Plan, Resource, identify
from chatfleet_operator.reconcile.decide import decide
from chatfleet_operator.status.report import report
from harness.kube.full_chatdeployment import full_chatdeployment, with_identities, with_own_redis, with_volumes
from harness.kube.operated_cluster import DEFAULTS, MOMENT, REF, document, observed, resource, settled, spec
from harness.schema_values import changed, leaves

NEWER = Defaults(api_image="example.com/api:2", redis_image="example.com/redis:9")
API, REDIS = ObjectId("Deployment", "support"), ObjectId("StatefulSet", "support-redis")


def upgraded(seen: Resource, live: dict[ObjectId, Manifest] | None = None) -> Plan:
    """Return what a newer operator does where an older one has made `live`; unset: what it made of a small resource."""
    return decide(observed(seen, settled(resource()) if live is None else live), NEWER)


def applied(plan: Plan) -> dict[ObjectId, str]:
    """Return the workloads that are applied, with their images."""
    workloads = (each for each in plan.apply if each["kind"] in WORKLOADS)
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


AUTOSCALERS = {autoscaler.build, scaled_object.build}
"""They have no pods, and cannot be built from a metric that the API server would reject."""


def workloads(wish: Mapping[str, Any], secret_uid: str = "uid") -> dict[ObjectId, Manifest]:  # an identity
    wanted = ChatDeploymentSpec.model_validate(wish)
    owner, found = Owner(REF, "uid-1"), LiveState(secret_uid=secret_uid)
    context = BuildContext(owner, wanted, DEFAULTS, found, runtime_config(owner, wanted))
    built = (child for builder in BUILDERS if builder not in AUTOSCALERS for child in builder(context))
    children = [inherit(child, wanted.inherited_metadata) for child in built]
    return {identify(each): each for each in children if each["kind"] in WORKLOADS}


def with_activator(document: Manifest) -> Manifest:
    """Return the spec of `document`, scaled to zero, so that it has each workload."""
    autoscaling = full_chatdeployment()["spec"]["autoscaling"]
    return {**document["spec"], "suspend": False, "autoscaling": {**autoscaling, "minReplicas": 0}}


FULL = full_chatdeployment()
KEYLESS = tuple(spec(providers=document["spec"]["providers"][:1]) for document in with_identities(FULL))
SPECS = (with_activator(FULL), with_activator(with_own_redis(FULL)), with_activator(with_volumes(FULL)), *KEYLESS)
SCHEMA = structural(ChatDeploymentSpec)
RESTARTING = frozenset(
    {
        "agents.members.knowledge.sources.configMapRef.name",
        "agents.members.knowledge.sources.volumeClaimRef.name",
        "agents.members.knowledge.store.chroma.tokenSecretRef.key",
        "agents.members.knowledge.store.chroma.tokenSecretRef.name",
        "access.apiKeys.secretRef.name",
        "webhooks.secretRef.name",
        "conversations.archive.postgresURLSecretRef.key",
        "conversations.archive.postgresURLSecretRef.name",
        "access.serviceAccounts.strict",
        "autoscaling.activationTimeoutSeconds",
        "egress.caBundleRef.configMapKeyRef.key",
        "egress.caBundleRef.configMapKeyRef.name",
        "egress.caBundleRef.secretKeyRef.key",
        "egress.caBundleRef.secretKeyRef.name",
        "inheritedMetadata.annotations",
        "inheritedMetadata.labels",
        "models.knowledge.sources.configMapRef.name",
        "models.knowledge.sources.volumeClaimRef.name",
        "models.knowledge.store.chroma.tokenSecretRef.key",
        "models.knowledge.store.chroma.tokenSecretRef.name",
        "observability.accessLog",
        "observability.logFormat",
        "observability.logLevel",
        "providers.apiKeySecretRef.key",
        "providers.apiKeySecretRef.name",
        "providers.credentials.workloadIdentity.audience",
        "providers.credentials.workloadIdentity.lifetimeSeconds",
        "providers.name",
        "redis.managed.affinity",
        "redis.managed.appendFsync",
        "redis.managed.nodeSelector",
        "redis.managed.priorityClassName",
        "redis.managed.resources",
        "redis.managed.tolerations",
        "redis.urlSecretRef.key",
        "redis.urlSecretRef.name",
        "streaming.drainSeconds",
        "streaming.heartbeatSeconds",
        "streaming.maxStreamSeconds",
        "streaming.maxStreamsPerPod",
        "template.affinity",
        "template.annotations",
        "template.env",
        "template.image",
        "template.imagePullSecrets.name",
        "template.labels",
        "template.nodeSelector",
        "template.priorityClassName",
        "template.resources",
        "template.tolerations",
        "template.topologySpreadConstraints",
        "toolServers.mcp.headersFrom.secretRef.name",
        "toolServers.name",
    }
)
"""Fields of the spec whose change restarts pods, because they are part of a pod template; all others are live.

A live field reaches running pods in their runtime configuration (`chatfleet_api.domain.live.Live`), or is not about
pods. It needs no line here.
"""

RESTARTING_AS_A_WHOLE = {"template", *(path for path in RESTARTING if path.startswith("template."))}
"""Each of these restarts the API pods; the activator's hash has them all, and stays the same in every release."""


@dataclass(frozen=True)
class Change:
    """One field of a spec, changed or removed, and the workloads before and after."""

    path: str
    before: Mapping[ObjectId, Manifest]
    after: Mapping[ObjectId, Manifest]

    def templates(self) -> set[ObjectId]:
        """Return the workloads whose pod template changes."""
        return self._differing(lambda each: each["spec"]["template"])

    def hashes(self) -> set[ObjectId]:
        """Return the workloads whose template-inputs-hash changes."""
        return self._differing(lambda each: each["metadata"]["annotations"][names.ANNOTATION_TEMPLATE_INPUTS_HASH])

    def _differing(self, part: Callable[[Manifest], object]) -> set[ObjectId]:
        common = self.before.keys() & self.after.keys()
        return {key for key in common if part(self.before[key]) != part(self.after[key])}


@cache
def changes() -> tuple[Change, ...]:
    """Return each change of one field."""
    return tuple(
        Change(path, before, workloads(other))
        for each in SPECS
        for before in [workloads(each)]
        for path, other in changed(SCHEMA, each)
    )


def remedies(restarting: Collection[str], declared: Collection[str]) -> list[str]:
    """Return what to do about each field that restarts pods and is not declared, or the reverse."""
    undeclared = (
        f"spec.{path} is part of a pod template: a change restarts pods. If it is meant to be live, remove it from the "
        "template in operator/chatfleet_operator/children/. Otherwise add a line to RESTARTING in test_revision.py "
        "and the field to template_inputs_hash of its builder."
        for path in sorted({*restarting} - {*declared})
    )
    live = (
        f"spec.{path} is part of no pod template: it is live. Remove its line from RESTARTING in test_revision.py."
        for path in sorted({*declared} - {*restarting})
    )
    return [*undeclared, *live]


def test_a_field_that_restarts_pods_is_declared() -> None:
    fields = set(leaves(SCHEMA))
    restarting = {change.path for change in changes() if change.templates()} & fields

    assert {change.path for change in changes()} >= fields
    assert not remedies(restarting, RESTARTING), "\n".join(remedies(restarting, RESTARTING))


def test_an_undeclared_field_is_named_with_the_remedy() -> None:
    (undeclared, live) = remedies({"streaming.a"}, {"streaming.b"})

    assert undeclared.startswith("spec.streaming.a is part of a pod template")
    assert "add a line to RESTARTING in test_revision.py" in undeclared
    assert live.startswith("spec.streaming.b is part of no pod template")


@pytest.mark.parametrize("path", sorted({change.path for change in changes()}))
def test_a_template_inputs_hash_changes_with_its_template_and_only_then(path: str) -> None:
    """A missing input loses changes; one too many restarts pods by a live field after an upgrade of the operator."""
    for change in changes():
        if change.path == path:
            missing = change.templates() - change.hashes()
            surplus = change.hashes() - change.templates()
            assert not missing, f"spec.{path}: add the field to template_inputs_hash of the builder of {missing}"
            assert not surplus or path in RESTARTING_AS_A_WHOLE, (
                f"spec.{path}: remove the field from template_inputs_hash of the builder of {surplus}, whose pod "
                "template does not use it"
            )


def test_defaults_are_not_among_the_inputs_of_a_template() -> None:
    """A field that a newer operator adds is then no change."""
    said = workloads(spec(streaming={"drainSeconds": 10}, template={"env": []}))
    redis = {"name": "support-redis", "key": "url"}

    assert (
        template_inputs_hash(template={}, streaming={}, keys=[], redis=redis).items()
        <= said[API]["metadata"]["annotations"].items()
    )


def test_another_password_restarts_redis() -> None:
    first, second = (workloads(spec(), uid)[REDIS]["metadata"]["annotations"] for uid in ("a", "b"))

    assert first[names.ANNOTATION_TEMPLATE_INPUTS_HASH] != second[names.ANNOTATION_TEMPLATE_INPUTS_HASH]
