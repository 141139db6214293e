"""What the operator's settings do not allow is reported by field and in no pod; it heals when it is allowed."""

import json
from dataclasses import replace
from typing import Any

import pytest

from chatfleet_contract import names
from chatfleet_operator.children.kinds import WORKLOADS
from chatfleet_operator.model.named_secrets import Restrictions
from chatfleet_operator.model.values import Manifest, ObjectId
from chatfleet_operator.reconcile.reconcile import reconcile
from harness.kube.fake_cluster import refuse
from harness.kube.operated_cluster import DEFAULTS, REF, OperatedCluster, operated_cluster

LABELLED = replace(DEFAULTS, restrictions=Restrictions(secrets_need_label=True))
RESTRICTED = replace(DEFAULTS, restrictions=Restrictions(restrict_template=True))

KEYS = {
    "providers": [
        {"name": "scripted", "type": "scripted"},
        {"name": "openai", "type": "openai", "apiKeySecretRef": {"name": "own", "key": "key"}},
    ]
}
VARIABLE = {"name": "A", "valueFrom": {"secretKeyRef": {"name": "own", "key": "key"}}}
NAMED: dict[str, Manifest] = {
    "spec.providers[1].apiKeySecretRef": KEYS,
    "spec.redis.urlSecretRef": {"redis": {"urlSecretRef": {"name": "own", "key": "key"}}},
    "spec.template.imagePullSecrets[0]": {"template": {"imagePullSecrets": [{"name": "own"}]}},
    "spec.template.env[0].valueFrom.secretKeyRef": {"template": {"env": [VARIABLE]}},
}
"""By the field that names a Secret: the change of a spec that does."""
SLEEPING = {"minReplicas": 0, "maxReplicas": 2, "source": "keda", "keda": {"prometheusURL": "http://prometheus"}}


def secret(label: str | None = None) -> Manifest:
    labels = {} if label is None else {names.LABEL_ALLOWED: label}
    metadata = {"name": "own", "namespace": REF.namespace, "labels": labels}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "data": {"key": "cmVkaXM6Ly9vd24="},
    }  # redis://own


def label(operated: OperatedCluster, value: str | None) -> None:
    labels = {} if value is None else {names.LABEL_ALLOWED: value}
    operated.change("Secret", "own", lambda live: live["metadata"].update(labels=labels))


async def settle(operated: OperatedCluster) -> None:
    for _ in range(4):
        await reconcile(REF, operated.parts)


def pods(operated: OperatedCluster) -> dict[str, str]:
    """Return the spec of the pods of each workload as text."""
    return {
        str(key): json.dumps(live["spec"]["template"]["spec"])
        for (_, key), live in operated.cluster.objects.items()
        if key.kind in WORKLOADS
    }


def users(operated: OperatedCluster) -> list[str]:
    """Return the workloads whose pods use the Secret."""
    return sorted(key for key, text in pods(operated).items() if '"own"' in text)


@pytest.mark.parametrize("field", NAMED)
async def test_no_pod_uses_a_secret_without_the_label_until_it_has_one(field: str) -> None:
    operated = operated_cluster(**NAMED[field], autoscaling=SLEEPING)
    operated.defaults = LABELLED
    operated.cluster.put(secret())
    await settle(operated)

    assert operated.condition("ConfigurationValid") == ("False", "SecretNotAllowed")
    message = operated.condition_document("ConfigurationValid")["message"]
    for words in (f"Secret own ({field})", "chatfleet.io/allowed=true", "chatfleet.io/allowed=support"):
        assert words in message
    assert "Deployment support" in pods(operated)
    assert users(operated) == []

    label(operated, "support")
    await settle(operated)
    assert operated.condition("ConfigurationValid") == ("True", "Valid")
    assert "Deployment support" in users(operated)

    label(operated, "other")
    await settle(operated)
    assert operated.condition("ConfigurationValid") == ("False", "SecretNotAllowed")
    assert users(operated) == []


async def test_a_secret_that_does_not_exist_is_mounted_by_no_pod_either() -> None:
    """Created without the label, it would else be in the pods before the operator sees it."""
    operated = operated_cluster(**KEYS)
    operated.defaults = LABELLED
    await settle(operated)

    assert operated.condition("ConfigurationValid") == ("False", "SecretNotAllowed")
    assert users(operated) == []


async def test_of_a_secret_that_is_not_allowed_no_key_is_disclosed() -> None:
    operated = operated_cluster(**KEYS)
    operated.defaults = LABELLED
    operated.cluster.put(secret())
    operated.change("Secret", "own", lambda live: live.update(data={}))
    await settle(operated)
    assert operated.condition("ConfigurationValid") == ("False", "SecretNotAllowed")

    label(operated, "true")
    await settle(operated)
    assert operated.condition("ConfigurationValid") == ("False", "SecretMissing")


async def test_the_generated_secret_needs_no_label() -> None:
    operated = operated_cluster()
    operated.defaults = LABELLED
    await settle(operated)

    assert operated.condition("ConfigurationValid") == ("True", "Valid")
    assert all('"support-redis"' in text for text in pods(operated).values())


async def test_without_the_switch_labels_are_not_looked_at() -> None:
    operated = operated_cluster(**KEYS)
    operated.cluster.put(secret())
    await settle(operated)

    assert operated.condition("ConfigurationValid") == ("True", "Valid")
    assert users(operated) == ["Deployment support"]


async def test_a_secret_that_cannot_be_read_changes_no_workload() -> None:
    operated = operated_cluster(**KEYS)
    operated.defaults = LABELLED
    operated.cluster.put(secret(label="true"))
    await settle(operated)
    before = pods(operated)
    operated.cluster.before_read = refuse("get Secret own", words="cannot get resource")
    operated.change(names.KIND, "support", lambda live: live["spec"].update(template={"image": "example.com/api:2"}))
    await settle(operated)

    assert operated.condition("ConfigurationValid") == ("False", "ChildRejected")
    assert operated.condition("Progressing") == ("False", "Blocked")
    assert pods(operated) == before


TEMPLATE: dict[str, Any] = {
    "image": "example.com/own:1",
    "env": [{"name": "A", "value": "a"}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}],
}


async def test_a_restricted_template_is_ignored_where_it_could_run_other_code_or_read_a_secret() -> None:
    operated = operated_cluster(template=TEMPLATE, autoscaling=SLEEPING)
    operated.defaults = RESTRICTED
    await settle(operated)

    assert operated.condition("ConfigurationValid") == ("False", "FieldNotAllowed")
    message = operated.condition_document("ConfigurationValid")["message"]
    for words in ("spec.template.image", "spec.template.env[1].valueFrom", "operator.restrictTemplate", "Remove"):
        assert words in message
    assert not [text for text in pods(operated).values() if "example.com/own:1" in text or "metadata.uid" in text]
    assert '{"name": "A", "value": "a"}' in pods(operated)["Deployment support"]

    operated.change(names.KIND, "support", lambda live: live["spec"].update(template={}))
    await settle(operated)
    assert operated.condition("ConfigurationValid") == ("True", "Valid")


async def test_pods_that_run_lose_what_is_no_longer_allowed() -> None:
    operated = operated_cluster(**KEYS, template=TEMPLATE)
    operated.cluster.put(secret())
    await settle(operated)
    assert users(operated) == ["Deployment support"]

    operated.defaults = LABELLED
    await settle(operated)
    assert users(operated) == []
    assert "example.com/own:1" in pods(operated)["Deployment support"]
    operated.defaults = RESTRICTED
    await settle(operated)
    assert "example.com/own:1" not in pods(operated)["Deployment support"]
    assert users(operated) == ["Deployment support"]


async def test_while_paused_what_is_not_allowed_is_still_reported() -> None:
    operated = operated_cluster(template=TEMPLATE)
    operated.defaults = RESTRICTED
    paused = {names.ANNOTATION_RECONCILE: names.RECONCILE_PAUSED}
    operated.change(names.KIND, "support", lambda live: live["metadata"].update(annotations=paused))
    await settle(operated)

    assert operated.condition("ConfigurationValid") == ("False", "FieldNotAllowed")
    assert (REF.namespace, ObjectId("Deployment", "support")) not in operated.cluster.objects
