"""A ChatDeployment with every field of spec and status, and the same with its own Redis and ChromaDB."""

from pathlib import Path
from typing import Any, Final

import yaml

from chatfleet_contract.crd import resource
from harness.schema_values import filled

Document = dict[str, Any]

CREDENTIALS: Final = ".spec.providers[].credentials"
OTHER_FIELDS: Final = frozenset(
    {
        *(".spec.redis.urlSecretRef", ".spec.redis.waitReplicas", ".spec.egress.caBundleRef.secretKeyRef"),
        *(CREDENTIALS, ".spec.access.jwt[].tenant"),
        *(".spec.agents.supervisor.instructions", ".spec.agents.members[].instructions"),
        *(".spec.models[].knowledge.store", ".spec.agents.members[].knowledge.store"),
        *(f".spec.{whose}[].knowledge.sources[].volumeClaimRef" for whose in ("models", "agents.members")),
    }
)
"""Fields that cannot stand beside others of the full document, such as a managed Redis."""
_COLLECTION: Document = {
    "store": {
        "type": "chroma",
        "chroma": {
            "url": "http://chroma.shop.svc:8000",
            "collection": "docs",
            "tenant": "shop",
            "database": "production",
            "tokenSecretRef": {"name": "chroma", "key": "token"},
        },
    },
    "embedding": {"model": "a"},
}
_OWN_REDIS: Document = {
    "redis": {"urlSecretRef": {"name": "redis", "key": "url"}, "waitReplicas": 1},
    "access": {"jwt": [{"issuer": "https://token.example.com", "audience": "chat", "tenant": "partners"}]},
    "egress": {"caBundleRef": {"secretKeyRef": {"name": "cas", "key": "ca.pem"}}},
    "agents": {
        "supervisor": {"model": "a", "instructions": "Greet the user."},
        "members": [
            {
                "name": "policy",
                "description": "terms",
                "model": "a",
                "instructions": "Quote the terms.",
                "knowledge": _COLLECTION,
            }
        ],
    },
    "autoscaling": {"maxReplicas": 9, "metrics": [{"type": "CPU", "averageUtilization": 80}]},
}
"""Values that cannot stand beside those of the full document."""
_IDENTITIES: dict[str, Document] = {
    "openai": {
        "openAI": {
            "identityProviderID": "idp_1",
            "serviceAccountID": "sa_1",
            "tokenURL": "https://auth.example.com/oauth/token",
        }
    },
    "anthropic": {
        "anthropic": {
            "federationRuleID": "fdrl_1",
            "organizationID": "00000000-0000-0000-0000-000000000000",
            "serviceAccountID": "svac_1",
            "workspaceID": "wrkspc_1",
        }
    },
    "bedrock": {"aws": {"roleARN": "arn:aws:iam::111122223333:role/chat"}},
    "azureOpenAI": {
        "azure": {
            "tenantID": "example.onmicrosoft.com",
            "clientID": "app-1",
            "authorityURL": "https://login.microsoftonline.us",
            "scope": "https://cognitiveservices.azure.us/.default",
        }
    },
    "openAICompatible": {
        "tokenExchange": {
            "url": "http://auth.team.svc:8080/token",
            "audience": "llm",
            "resource": "urn:llm",
            "scope": "chat",
            "clientID": "pods",
        }
    },
}
"""Exchanges of workload identity, by the type of a provider of the full document."""


def full_chatdeployment() -> Document:
    """Return full.yaml with the fields that it does not have, as their schema allows.

    Raises:
        UnknownValueError: full.yaml must have a field; the message names it.
    """
    text = Path(__file__).with_name("full.yaml").read_text()
    document: Document = filled(resource(), yaml.safe_load(text), absent=OTHER_FIELDS)
    return document


def with_own_redis(full: Document) -> Document:
    """Return `full` with the fields that cannot stand beside a managed Redis, or beside documents in ConfigMaps."""
    first, *others = full["spec"]["models"]
    return {**full, "spec": {**full["spec"], **_OWN_REDIS, "models": [{**first, "knowledge": _COLLECTION}, *others]}}


def with_identities(full: Document) -> list[Document]:
    """Return `full` for each exchange of workload identity, with the provider that has it as the first."""

    def first(kind: str, exchange: Document) -> Document:
        providers = sorted(full["spec"]["providers"], key=lambda provider: bool(provider["type"] != kind))
        identity = {"audience": "chatfleet", "lifetimeSeconds": 1200, **exchange}
        own = {**providers[0], "credentials": {"workloadIdentity": identity}}
        own.pop("apiKeySecretRef", None)
        return {**full, "spec": {**full["spec"], "providers": [own, *providers[1:]]}}

    return [first(kind, exchange) for kind, exchange in _IDENTITIES.items()]


def with_bedrock(full: Document) -> Document:
    """Return `full` with its provider of type bedrock as the first, whose settings cannot stand beside Azure's."""
    providers = sorted(full["spec"]["providers"], key=lambda provider: "bedrock" not in provider)
    return {**full, "spec": {**full["spec"], "providers": providers}}


def with_volumes(full: Document) -> Document:
    """Return `full` with documents in volumes, which cannot stand beside a ConfigMap in one source."""
    volumes = {"sources": [{"volumeClaimRef": {"name": "docs", "path": "handbook/current"}}]}
    (model, *models), agents = full["spec"]["models"], full["spec"]["agents"]
    member, *members = agents["members"]
    changed = {
        "models": [{**model, "knowledge": volumes}, *models],
        "agents": {**agents, "members": [{**member, "knowledge": volumes}, *members]},
    }
    return {**full, "spec": {**full["spec"], **changed}}
