"""The Secrets with API keys of clients: mounted whole, named when missing, and passed on when they change."""

from dataclasses import replace
from typing import Any

from chatfleet_contract import names
from chatfleet_operator.model.named_secrets import Restrictions
from chatfleet_operator.model.values import Manifest
from chatfleet_operator.reconcile.reconcile import reconcile
from harness.kube.operated_cluster import DEFAULTS, REF, OperatedCluster, operated_cluster

KEYS: dict[str, Any] = {"apiKeys": [{"secretRef": {"name": "chat-keys"}}, {"secretRef": {"name": "chat-keys"}}]}


def chat_keys(version: str, **data: str) -> Manifest:
    """Return the Secret; its creation is newer than every pod."""
    metadata = {"name": "chat-keys", "namespace": REF.namespace, "uid": "uid-keys", "resourceVersion": version}
    metadata["creationTimestamp"] = "2026-01-02T03:04:00Z"
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


async def pass_of(operated: OperatedCluster) -> None:
    for _ in range(3):
        await reconcile(REF, operated.parts)


def volumes(operated: OperatedCluster) -> list[Manifest]:
    pods = operated.live("Deployment", REF.name)["spec"]["template"]["spec"]
    return [volume for volume in pods["volumes"] if volume["name"].startswith("access")]


async def test_pods_mount_every_key_of_the_secret_once() -> None:
    operated = operated_cluster(access=KEYS)
    operated.cluster.put(chat_keys("1", web="a2V5"))
    await pass_of(operated)

    sources = [{"secret": {"name": "chat-keys", "optional": True}}]
    assert [volume["projected"]["sources"] for volume in volumes(operated)] == [sources]
    container = operated.live("Deployment", REF.name)["spec"]["template"]["spec"]["containers"][0]
    assert {"name": "access-0", "mountPath": f"{names.ACCESS_DIR}/chat-keys", "readOnly": True} in container[
        "volumeMounts"
    ]
    served = operated.config().access
    assert not served.anonymous
    assert [(keys.tenant, keys.folder) for keys in served.api_keys] == [("chat-keys", f"{names.ACCESS_DIR}/chat-keys")]


async def test_a_secret_that_is_missing_or_empty_is_named() -> None:
    operated = operated_cluster(access=KEYS)
    await pass_of(operated)
    assert operated.condition("ConfigurationValid") == ("False", "SecretMissing")
    operated.cluster.put(chat_keys("1"))
    await pass_of(operated)
    assert operated.condition("ConfigurationValid") == ("False", "SecretMissing")
    operated.cluster.put(chat_keys("2", web="a2V5"))
    await pass_of(operated)
    assert operated.condition("ConfigurationValid") == ("True", "Valid")


async def test_a_changed_secret_makes_the_kubelet_refresh_its_files() -> None:
    operated = operated_cluster(access=KEYS)
    operated.cluster.put(chat_keys("1", web="a2V5"))
    await pass_of(operated)
    operated.roll_out()
    await pass_of(operated)
    before = hashes(operated)
    operated.cluster.put(chat_keys("2", other="a2V5"))
    await pass_of(operated)

    assert before
    assert hashes(operated).isdisjoint(before)


def hashes(operated: OperatedCluster) -> set[str]:
    pods = [operated.live("Pod", f"support-{number}") for number in range(2)]
    return {(each["metadata"].get("annotations") or {}).get(names.ANNOTATION_SECRETS_HASH) or "" for each in pods}


async def test_the_operators_request_has_the_credential_that_pods_accept() -> None:
    operated = operated_cluster(access=KEYS)
    operated.cluster.put(chat_keys("1", web="a2V5"))
    await pass_of(operated)
    operated.roll_out()
    await pass_of(operated)

    uid = operated.live(names.KIND, REF.name)["metadata"]["uid"]
    assert set(operated.prober.tokens) == {names.probe_token(uid)}


async def test_a_secret_without_the_label_is_not_mounted() -> None:
    operated = operated_cluster(access=KEYS)
    operated.defaults = replace(DEFAULTS, restrictions=Restrictions(secrets_need_label=True))
    operated.cluster.put(chat_keys("1", web="a2V5"))
    await pass_of(operated)

    assert operated.condition("ConfigurationValid") == ("False", "SecretNotAllowed")
    assert [volume["projected"]["sources"] for volume in volumes(operated)] == [[]]
