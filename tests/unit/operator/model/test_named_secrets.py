"""Every Secret that a spec can name is known, with the field that names it."""

import re

import pytest

from chatfleet_contract.crd import resource
from chatfleet_contract.pod_fields import with_pod_fields
from chatfleet_contract.spec import ChatDeploymentSpec
from chatfleet_operator.model.named_secrets import NamedSecret, SecretUse, may_use, secret_uses
from harness.kube.operated_cluster import spec

COLLECTION = {
    "store": {
        "type": "chroma",
        "chroma": {"url": "http://chroma", "collection": "docs", "tokenSecretRef": {"name": "chroma", "key": "token"}},
    },
    "embedding": {"model": "default"},
}
EVERYWHERE = ChatDeploymentSpec.model_validate(
    spec(
        providers=[
            {"name": "scripted", "type": "scripted"},
            {"name": "openai", "type": "openai", "apiKeySecretRef": {"name": "llm-keys", "key": "openai"}},
        ],
        models=[{"name": "default", "provider": "scripted", "model": "echo", "knowledge": COLLECTION}],
        agents={
            "supervisor": {"model": "default"},
            "members": [
                {"name": "a", "description": "a", "model": "default", "instructions": "a", "knowledge": COLLECTION}
            ],
        },
        toolServers=[
            {
                "name": "tickets",
                "mcp": {"url": "http://tickets/mcp", "headersFrom": {"secretRef": {"name": "ticket-headers"}}},
            }
        ],
        access={"apiKeys": [{"secretRef": {"name": "chat-keys"}}]},
        webhooks=[
            {"name": "crm", "url": "https://a.example", "events": ["feedback"], "secretRef": {"name": "crm-signing"}},
        ],
        redis={"urlSecretRef": {"name": "redis", "key": "url"}},
        conversations={"archive": {"postgresURLSecretRef": {"name": "archive", "key": "url"}}},
        egress={"caBundleRef": {"secretKeyRef": {"name": "cas", "key": "ca.pem"}}},
        template={
            "imagePullSecrets": [{"name": "registry"}],
            "env": [
                {"name": "A", "value": "a"},
                {"name": "B", "valueFrom": {"secretKeyRef": {"name": "database", "key": "password"}}},
            ],
        },
    )
)


def test_every_secret_is_named_with_its_field() -> None:
    assert list(secret_uses(EVERYWHERE)) == [
        SecretUse("llm-keys", "spec.providers[1].apiKeySecretRef"),
        SecretUse("ticket-headers", "spec.toolServers[0].mcp.headersFrom.secretRef"),
        SecretUse("redis", "spec.redis.urlSecretRef"),
        SecretUse("archive", "spec.conversations.archive.postgresURLSecretRef"),
        SecretUse("chroma", "spec.models[0].knowledge.store.chroma.tokenSecretRef"),
        SecretUse("chroma", "spec.agents.members[0].knowledge.store.chroma.tokenSecretRef"),
        SecretUse("cas", "spec.egress.caBundleRef.secretKeyRef"),
        SecretUse("chat-keys", "spec.access.apiKeys[0].secretRef"),
        SecretUse("crm-signing", "spec.webhooks[0].secretRef"),
        SecretUse("registry", "spec.template.imagePullSecrets[0]"),
        SecretUse("database", "spec.template.env[1].valueFrom.secretKeyRef"),
    ]


def test_no_field_of_the_schema_that_names_a_secret_is_forgotten() -> None:
    paths = {path for path, _ in with_pod_fields(resource()).walk()}
    named = {
        path for path in paths if re.search(r"secret\w*(\[\])?$", path, re.IGNORECASE) and f"{path}[]" not in paths
    }

    assert named == {re.sub(r"\[\d+\]", "[]", f".{use.field}") for use in secret_uses(EVERYWHERE)}


@pytest.mark.parametrize(
    ("label", "allowed"), [("", False), ("true", True), ("support", True), ("other", False), ("True", False)]
)
def test_the_label_is_for_all_or_for_one_by_name(label: str, allowed: bool) -> None:  # noqa: FBT001  # a table
    assert may_use(NamedSecret(allowed=label), "support") is allowed


@pytest.mark.parametrize("variable", [{}, {"valueFrom": None}, {"valueFrom": "x"}, {"valueFrom": {"secretKeyRef": []}}])
def test_a_variable_without_a_secret_names_none(variable: dict[str, object]) -> None:
    odd = spec(template={"env": [{"name": "A", **variable}]})

    assert list(secret_uses(ChatDeploymentSpec.model_validate(odd))) == []
