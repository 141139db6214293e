"""The ConfigMap with the runtime configuration: the spec without its Secrets, as running pods read it."""

import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pydantic import ValidationError

from chatfleet_contract import names
from chatfleet_contract.runtime import (
    RuntimeAccess,
    RuntimeAgents,
    RuntimeConfig,
    RuntimeEgress,
    RuntimeKeys,
    RuntimeMember,
    RuntimeProvider,
    RuntimeReview,
    RuntimeServiceAccounts,
    RuntimeSupervisor,
    RuntimeToolServer,
    RuntimeWebhook,
)
from chatfleet_contract.spec import Access, ChatDeploymentSpec
from chatfleet_contract.spec.agents import SUPERVISOR, Agents
from chatfleet_contract.spec.egress import Egress
from chatfleet_contract.spec.providers import Provider
from chatfleet_contract.spec.service_accounts import ServiceAccounts
from chatfleet_contract.spec.tool_servers import ToolServer
from chatfleet_contract.spec.webhooks import Webhook
from chatfleet_operator.children.context import BuildContext
from chatfleet_operator.children.kinds import CONFIG_MAP
from chatfleet_operator.children.labels import Owner, new_child
from chatfleet_operator.model.token_issuer import TokenIssuer
from chatfleet_operator.model.values import Manifest

NO_INSTRUCTIONS: Final[Mapping[str, str]] = MappingProxyType({})


def _provider(provider: Provider) -> RuntimeProvider:
    """Return `provider` with paths of files instead of the Secret and of the ServiceAccount's token."""
    key = names.api_key_file(provider.name) if provider.api_key_secret_ref else None
    identity = None
    if provider.credentials:
        settings = provider.credentials.workload_identity.document()
        identity = {**settings, "tokenFile": names.identity_token_file(provider.name)}
    return RuntimeProvider.model_validate({**provider.document(), "apiKeyFile": key, "workloadIdentity": identity})


def _tool_server(server: ToolServer) -> RuntimeToolServer:
    return RuntimeToolServer(
        name=server.name,
        url=server.mcp.url,
        headers_folder=names.tool_headers_dir(server.name) if server.mcp.headers_from else None,
        allow=tuple(server.allow),
        timeout_seconds=server.timeout_seconds,
        approve=server.approve,
    )


def _egress(egress: Egress) -> RuntimeEgress:
    """Return `egress` with the path of the CA bundle's file instead of the reference."""
    file = names.CA_BUNDLE_FILE if egress.ca_bundle_ref else None
    return RuntimeEgress.model_validate({**egress.document(), "caBundleFile": file})


def _webhook(webhook: Webhook) -> RuntimeWebhook:
    """Return `webhook` with the folder of its signing secrets instead of the Secret."""
    fields = {name: value for name, value in webhook.document().items() if name != "secretRef"}
    folder = names.webhook_secrets_dir(webhook.secret_ref.name)
    return RuntimeWebhook.model_validate({**fields, "secretsFolder": folder})


def _served(config_map: Manifest | None) -> RuntimeConfig | None:
    """Return what a ConfigMap of ours has."""
    text = ((config_map or {}).get("data") or {}).get(names.CONFIG_KEY)
    try:
        return RuntimeConfig.model_validate_json(text) if text else None
    except ValidationError:  # it was written by another operator, or by hand
        return None


def served_issuer(config_map: Manifest | None) -> TokenIssuer | None:
    """Return the issuer that a ConfigMap of ours has, for the time in which it cannot be read."""
    served = _served(config_map)
    accepted = served.access.service_accounts if served else None
    return TokenIssuer(accepted.issuer, accepted.keys) if accepted else None


def served_instructions(config_map: Manifest | None) -> dict[str, str]:
    """Return the instructions that a ConfigMap of ours has, for the time in which theirs are not there."""
    served = _served(config_map)
    if served is None or served.agents is None:
        return {}
    texts = {member.name: member.instructions for member in served.agents.members}
    own = served.agents.supervisor.instructions
    return texts if own is None else {SUPERVISOR: own, **texts}


def _agents(agents: Agents | None, found: Mapping[str, str]) -> RuntimeAgents | None:
    """Return the agents with their instructions; a member whose instructions never were there is left out."""
    if agents is None:
        return None
    texts = {name: found[name] for name, _ in agents.instructed() if name in found}
    own = agents.supervisor
    members = (
        RuntimeMember(
            name=member.name,
            description=member.description,
            model=member.model,
            instructions=text,
            parameters=member.parameters,
            route=member.route,
            knowledge=member.knowledge,
            handoffs=tuple(member.handoffs),
        )
        for member in agents.members
        if (text := member.instructions or texts.get(member.name))
    )
    return RuntimeAgents(
        supervisor=RuntimeSupervisor(
            model=own.model,
            instructions=own.instructions or texts.get(SUPERVISOR),
            max_steps=own.max_steps,
            max_handoffs=own.max_handoffs,
        ),
        members=tuple(members),
    )


def _service_accounts(accepted: ServiceAccounts, issuer: TokenIssuer) -> RuntimeServiceAccounts:
    files = {"token_file": names.APISERVER_TOKEN_FILE, "ca_file": names.APISERVER_CA_FILE}
    return RuntimeServiceAccounts(
        audience=accepted.audience,
        issuer=issuer.issuer,
        keys=issuer.keys,
        allow=tuple(accepted.allow),
        review=RuntimeReview(url=names.APISERVER_URL, **files) if accepted.strict else None,
    )


def _access(access: Access, uid: str, issuer: TokenIssuer | None) -> RuntimeAccess:
    return RuntimeAccess(
        anonymous=access.anonymous,
        api_keys=tuple(RuntimeKeys(tenant=name, folder=names.access_keys_dir(name)) for name in access.key_secrets),
        jwt=tuple(access.jwt),
        service_accounts=_service_accounts(accepted, issuer)
        if (accepted := access.service_accounts) and issuer
        else None,
        on_revoke=access.on_revoke,
        admin=tuple(access.admin),
        probe_hash=hashlib.sha256(names.probe_token(uid).encode()).hexdigest(),
    )


def runtime_config(
    owner: Owner,
    spec: ChatDeploymentSpec,
    issuer: TokenIssuer | None = None,
    instructions: Mapping[str, str] = NO_INSTRUCTIONS,
) -> RuntimeConfig:
    """Return what the pods of `owner` should serve; `issuer` signs the tokens of ServiceAccounts.

    `instructions` are those of agents that have them in ConfigMaps, by name.
    """
    ref = owner.ref
    return RuntimeConfig(
        deployment=ref.name,
        namespace=ref.namespace,
        providers=tuple(_provider(provider) for provider in spec.providers),
        models=tuple(spec.models),
        tool_servers=tuple(_tool_server(server) for server in spec.tool_servers),
        access=_access(spec.access, owner.uid, issuer),
        redis_url_file=names.REDIS_URL_FILE,
        redis_wait_replicas=spec.redis.wait_replicas or None,
        archive_url_file=names.ARCHIVE_URL_FILE if spec.conversations.archive else None,
        conversations=spec.conversations.model_copy(update={"archive": None}),
        streaming=spec.streaming,
        limits=spec.limits,
        cache=spec.cache,
        observability=spec.observability,
        egress=_egress(spec.egress),
        webhooks=tuple(_webhook(webhook) for webhook in spec.webhooks),
        agents=_agents(spec.agents, instructions),
    )


def build(context: BuildContext) -> tuple[Manifest, ...]:
    manifest = new_child(context.owner, CONFIG_MAP, names.config_name(context.ref.name), names.COMPONENT_API)
    manifest["data"] = {names.CONFIG_KEY: context.runtime.render()}
    return (manifest,)
