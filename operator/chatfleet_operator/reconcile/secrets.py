"""Which Secrets one reconciliation reads, and what follows from what it finds. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from chatfleet_contract import names
from chatfleet_contract.spec import ChatDeploymentSpec
from chatfleet_contract.spec.secrets import SecretKeyRef
from chatfleet_operator.model.named_secrets import (
    ALLOWED_FOR_ALL,
    MountedSecrets,
    NamedSecret,
    SecretUse,
    access_secrets,
    header_secrets,
    may_use,
    mounted_secrets,
    secret_uses,
)
from chatfleet_operator.model.parse import parse_secret
from chatfleet_operator.model.values import Manifest, ObjectId, Resource

UNREAD: Final = NamedSecret(allowed=ALLOWED_FOR_ALL)
"""Stands for a Secret that the API server did not let us read: the plan applies no workload then."""


def secret_id(named: SecretKeyRef | SecretUse) -> ObjectId:
    return ObjectId("Secret", named.name)


def references_of(spec: ChatDeploymentSpec | None) -> Iterator[SecretKeyRef]:
    if spec is None:
        return
    yield from (provider.api_key_secret_ref for provider in spec.providers if provider.api_key_secret_ref)
    if spec.redis.url_secret_ref:
        yield spec.redis.url_secret_ref
    if archive := spec.conversations.archive:
        yield archive.postgres_url_secret_ref
    yield from spec.chroma_tokens
    if bundle := spec.egress.ca_bundle_ref and spec.egress.ca_bundle_ref.secret_key_ref:
        yield bundle


def mounted_whole(spec: ChatDeploymentSpec | None) -> tuple[SecretUse, ...]:
    """Return the Secrets of which the pods mount every key."""
    return (*access_secrets(spec), *header_secrets(spec)) if spec else ()


def missing_secrets(
    uses: Iterable[SecretUse], found: Mapping[ObjectId, NamedSecret], refused: Iterable[SecretUse]
) -> tuple[str, ...]:
    """Return the names of the Secrets that do not exist, or are empty; of a refused one, nothing is disclosed."""
    hidden = {use.name for use in refused}
    empty = (use.name for use in uses if secret_id(use) in found and not found[secret_id(use)].keys)
    return tuple(name for name in empty if name not in hidden)


def restricted_uses(resource: Resource) -> tuple[SecretUse, ...]:
    """Return the Secrets that the spec names and that need the label: all but the one that we generate for it."""
    spec = resource.spec
    if spec is None:
        return ()
    generated = names.redis_name(resource.ref.name) if spec.redis.managed else ""
    return tuple(use for use in secret_uses(spec) if use.name != generated)


def not_allowed(
    uses: Iterable[SecretUse], found: Mapping[ObjectId, NamedSecret], deployment: str
) -> tuple[SecretUse, ...]:
    """Return those of `uses` whose Secret does not have the label."""
    return tuple(use for use in uses if not may_use(found.get(secret_id(use), UNREAD), deployment))


def missing_keys(
    references: Iterable[SecretKeyRef], found: Mapping[ObjectId, NamedSecret], refused: Iterable[SecretUse]
) -> tuple[SecretKeyRef, ...]:
    """Return the keys that do not exist; of a refused Secret, nothing is disclosed."""
    known = {key: secret.keys for key, secret in found.items()}
    hidden = {use.name for use in refused}
    return tuple(
        each
        for each in references
        if each.name not in hidden and each.key not in known.get(secret_id(each), {each.key})
    )


def redis_url_error(spec: ChatDeploymentSpec | None, found: Mapping[ObjectId, NamedSecret]) -> str:
    """Return why the URL of Redis in the Secret of `spec` is not valid; empty: it is, or it is not there."""
    ref = spec.redis.url_secret_ref if spec else None
    return found[secret_id(ref)].redis_url_error if ref and secret_id(ref) in found else ""


def mounted(
    resource: Resource,
    references: Iterable[SecretKeyRef | SecretUse],
    found: Mapping[ObjectId, NamedSecret],
    ours: Mapping[ObjectId, Manifest],
    refused: Iterable[SecretUse],
) -> MountedSecrets:
    """Return the Secrets that the pods mount: those of the spec that they may use, and the generated one."""
    hidden = {use.name for use in refused}
    generated = ObjectId("Secret", names.redis_name(resource.ref.name))
    named = {each.name: found[secret_id(each)] for each in references if secret_id(each) in found}
    own = {generated.name: parse_secret(ours[generated])} if generated in ours else {}
    return mounted_secrets({name: secret for name, secret in {**named, **own}.items() if name not in hidden})
