"""The Secrets with API keys of clients: mounted whole, named when missing, and passed on when they change."""

from dataclasses import replace
from typing import Any

from chatfleet_contract import names
from chatfleet_contract.runtime import RuntimeReview
from chatfleet_operator.model.errors import Refused
from chatfleet_operator.model.named_secrets import Restrictions
from chatfleet_operator.model.token_issuer import TokenIssuer
from chatfleet_operator.model.values import Manifest
from chatfleet_operator.reconcile.reconcile import reconcile
from harness.kube.fake_cluster import ISSUER
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


ACCOUNTS: dict[str, Any] = {"serviceAccounts": {"audience": "chat", "allow": [{"namespace": "shop", "name": "web"}]}}


async def test_pods_get_the_newest_keys_of_the_cluster_and_no_token_of_it() -> None:
    operated = operated_cluster(access=ACCOUNTS)
    await pass_of(operated)
    first = operated.config().access.service_accounts
    operated.cluster.issuer = TokenIssuer("https://cluster", '{"keys": [{"kid": "new"}]}')
    await pass_of(operated)
    second = operated.config().access.service_accounts

    assert first is not None
    assert (first.issuer, first.keys, first.review) == (*ISSUER, None)
    assert second is not None
    assert (second.issuer, second.keys) == operated.cluster.issuer
    pods = operated.live("Deployment", REF.name)["spec"]["template"]["spec"]
    assert not pods["automountServiceAccountToken"]
    assert "serviceAccountToken" not in str(pods)


async def test_while_the_keys_cannot_be_read_pods_keep_those_that_they_have() -> None:
    operated = operated_cluster(access=ACCOUNTS)
    await pass_of(operated)
    before = operated.config()
    operated.cluster.before_read = refuse_keys
    await pass_of(operated)

    assert operated.config() == before
    assert "Keys of ServiceAccount tokens" in str(operated.live("ChatDeployment", REF.name)["status"])


async def test_before_the_keys_were_read_no_token_is_accepted() -> None:
    operated = operated_cluster(access=ACCOUNTS)
    operated.cluster.before_read = refuse_keys
    await pass_of(operated)
    served = operated.config().access

    assert (served.anonymous, served.service_accounts) == (False, None)


async def test_only_strict_pods_reach_the_api_server() -> None:
    accounts = ACCOUNTS["serviceAccounts"]
    operated = operated_cluster(access={"serviceAccounts": {**accounts, "strict": True}})
    await pass_of(operated)
    pods = operated.live("Deployment", REF.name)["spec"]["template"]["spec"]
    served = operated.config().access.service_accounts

    assert served is not None
    assert served.review == RuntimeReview(
        url=names.APISERVER_URL, token_file=names.APISERVER_TOKEN_FILE, ca_file=names.APISERVER_CA_FILE
    )
    assert not pods["automountServiceAccountToken"]
    volume = next(each for each in pods["volumes"] if each["name"] == "apiserver")
    assert volume["projected"]["sources"] == [
        {"serviceAccountToken": {"expirationSeconds": 3600, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    ]
    mounts = pods["containers"][0]["volumeMounts"]
    assert {"name": "apiserver", "mountPath": names.APISERVER_DIR, "readOnly": True} in mounts


def refuse_keys(what: str) -> None:
    if what == "get Keys":
        raise Refused("system:serviceaccount:o:o cannot get path /openid/v1/jwks")
