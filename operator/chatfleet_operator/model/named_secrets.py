"""The Secrets that a spec names: where it names them, and which of them it may use. Pure."""

import json
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from chatfleet_contract.parts import Json
from chatfleet_contract.runtime import digest_of
from chatfleet_contract.spec import ChatDeploymentSpec

ALLOWED_FOR_ALL: Final = "true"
"""Value of the label of a Secret that every ChatDeployment of its namespace may use."""


class Restrictions(NamedTuple):
    """What the operator's settings forbid to all ChatDeployments."""

    secrets_need_label: bool = False
    """Only Secrets with the label may be used."""
    restrict_template: bool = False
    """`template.image` and `template.env[].valueFrom` are ignored."""


UNRESTRICTED: Final = Restrictions()


class NamedSecret(NamedTuple):
    """What is known of a Secret, without its values."""

    keys: frozenset[str] = frozenset()
    """Empty: there is no such Secret, or nothing is in it."""
    allowed: str = ""
    """Value of its label; empty: it has none."""
    version: str = ""
    """Its resourceVersion; empty: there is no such Secret."""
    written: str = ""
    """Time of the last write, as Kubernetes writes it."""
    redis_url_error: str = ""
    """Why the URL of Redis in it is not valid; empty: it is, or none was looked for."""


class MountedSecrets(NamedTuple):
    """The Secrets that API pods mount, as one value."""

    digest: str = ""
    """Of their versions."""
    written: str = ""
    """Time of the last write of one of them; empty: none exists."""


NOTHING_MOUNTED: Final = MountedSecrets()


def mounted_secrets(found: Mapping[str, NamedSecret]) -> MountedSecrets:
    """Return the Secrets in `found` as one value, by their names."""
    versions = sorted((name, secret.version) for name, secret in found.items())
    return MountedSecrets(digest_of(json.dumps(versions)), max((each.written for each in found.values()), default=""))


class SecretUse(NamedTuple):
    """A Secret, and the field that names it."""

    name: str
    field: str


def secret_uses(spec: ChatDeploymentSpec) -> Iterator[SecretUse]:
    """Yield every Secret that `spec` names, with the field: all that its pods could read or its nodes use."""
    for index, provider in enumerate(spec.providers):
        if provider.api_key_secret_ref:
            yield SecretUse(provider.api_key_secret_ref.name, f"spec.providers[{index}].apiKeySecretRef")
    yield from header_secrets(spec)
    if spec.redis.url_secret_ref:
        yield SecretUse(spec.redis.url_secret_ref.name, "spec.redis.urlSecretRef")
    if archive := spec.conversations.archive:
        yield SecretUse(archive.postgres_url_secret_ref.name, "spec.conversations.archive.postgresURLSecretRef")
    yield from _chroma_tokens(spec)
    if bundle := spec.egress.ca_bundle_ref and spec.egress.ca_bundle_ref.secret_key_ref:
        yield SecretUse(bundle.name, "spec.egress.caBundleRef.secretKeyRef")
    yield from access_secrets(spec)
    for index, webhook in enumerate(spec.webhooks):
        yield SecretUse(webhook.secret_ref.name, f"spec.webhooks[{index}].secretRef")
    for index, secret in enumerate(spec.template.image_pull_secrets):
        yield SecretUse(secret.name, f"spec.template.imagePullSecrets[{index}]")
    for index, variable in enumerate(spec.template.env):
        if name := secret_of_variable(variable):
            yield SecretUse(name, f"spec.template.env[{index}].valueFrom.secretKeyRef")


def _chroma_tokens(spec: ChatDeploymentSpec) -> Iterator[SecretUse]:
    for field, knowledge in spec.all_knowledge():
        if (collection := knowledge.collection) and collection.token_secret_ref:
            yield SecretUse(collection.token_secret_ref.name, f"{field}.store.chroma.tokenSecretRef")


def header_secrets(spec: ChatDeploymentSpec) -> Iterator[SecretUse]:
    """Yield the Secrets with headers for tool servers, all of whose keys the pods mount."""
    for index, server in enumerate(spec.tool_servers):
        if headers := server.mcp.headers_from:
            yield SecretUse(headers.secret_ref.name, f"spec.toolServers[{index}].mcp.headersFrom.secretRef")


def access_secrets(spec: ChatDeploymentSpec) -> Iterator[SecretUse]:
    """Yield the Secrets with API keys of clients, all of whose keys the pods mount."""
    for index, keys in enumerate(spec.access.api_keys):
        yield SecretUse(keys.secret_ref.name, f"spec.access.apiKeys[{index}].secretRef")


def secret_of_variable(variable: Json) -> str:
    """Return the name of the Secret that an environment variable reads; empty: none."""
    source = variable.get("valueFrom")
    reference = source.get("secretKeyRef") if isinstance(source, dict) else None
    name = reference.get("name") if isinstance(reference, dict) else None
    return name if isinstance(name, str) else ""


def may_use(secret: NamedSecret, deployment: str) -> bool:
    """Whether the pods of `deployment` may use `secret`, where Secrets need the label."""
    return secret.allowed in {ALLOWED_FOR_ALL, deployment}
