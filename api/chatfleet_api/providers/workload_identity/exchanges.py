"""The request that exchanges a token of the ServiceAccount, for each endpoint. Pure.

Fields are those of the official SDKs: `openai.auth`, `anthropic.lib.credentials`, `azure.identity`; and of RFC 8693.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlencode

import msgspec

from chatfleet_api.providers.vendor import HTTPRequest
from chatfleet_contract.spec.credentials import (
    AnthropicExchange,
    AzureExchange,
    OpenAIExchange,
    TokenExchange,
    WorkloadIdentity,
)

OPENAI_URL: Final = "https://auth.openai.com/oauth/token"
AZURE_AUTHORITY: Final = "https://login.microsoftonline.com"
AZURE_SCOPE: Final = "https://cognitiveservices.azure.com/.default"
ANTHROPIC_BETA: Final = "oauth-2025-04-20"
"""Beta feature of every request with an access token."""

_FEDERATION_BETA: Final = "oidc-federation-2026-04-01"
_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_JWT: Final = "urn:ietf:params:oauth:token-type:jwt"
_ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # a type
_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def exchange_request(identity: WorkloadIdentity, token: str, *, root: str) -> HTTPRequest:
    """Return the request that exchanges `token`; `root` is that of the provider's API.

    Raises `ValueError` when `identity` has no exchange for an access token.
    """
    if identity.open_ai:
        return _openai(identity.open_ai, token)
    if identity.anthropic:
        return _anthropic(identity.anthropic, token, root)
    if identity.azure:
        return _azure(identity.azure, token)
    if identity.token_exchange:
        return _general(identity.token_exchange, token)
    raise ValueError("workloadIdentity has no exchange for an access token; set one")


def _openai(exchange: OpenAIExchange, token: str) -> HTTPRequest:
    fields = {
        "grant_type": _EXCHANGE,
        "subject_token": token,
        "subject_token_type": _JWT,
        "identity_provider_id": exchange.identity_provider_id,
        "service_account_id": exchange.service_account_id,
    }
    return _json(exchange.token_url or OPENAI_URL, fields)


def _anthropic(exchange: AnthropicExchange, token: str, root: str) -> HTTPRequest:
    fields = {
        "grant_type": _JWT_BEARER,
        "assertion": token,
        "federation_rule_id": exchange.federation_rule_id,
        "organization_id": exchange.organization_id,
        "service_account_id": exchange.service_account_id,
        "workspace_id": exchange.workspace_id,
    }
    return _json(f"{root}/oauth/token", fields, {"anthropic-beta": f"{ANTHROPIC_BETA},{_FEDERATION_BETA}"})


def _azure(exchange: AzureExchange, token: str) -> HTTPRequest:
    authority = (exchange.authority_url or AZURE_AUTHORITY).rstrip("/")
    fields = {
        "grant_type": "client_credentials",
        "client_id": exchange.client_id,
        "client_assertion": token,
        "client_assertion_type": _ASSERTION,
        "scope": exchange.scope or AZURE_SCOPE,
    }
    return _form(f"{authority}/{quote(exchange.tenant_id, safe='')}/oauth2/v2.0/token", fields)


def _general(exchange: TokenExchange, token: str) -> HTTPRequest:
    fields = {
        "grant_type": _EXCHANGE,
        "subject_token": token,
        "subject_token_type": _JWT,
        "requested_token_type": _ACCESS_TOKEN,
        "audience": exchange.audience,
        "resource": exchange.resource,
        "scope": exchange.scope,
        "client_id": exchange.client_id,
    }
    return _form(exchange.url, fields)


def _json(url: str, fields: Mapping[str, str | None], headers: Mapping[str, str] | None = None) -> HTTPRequest:
    body = msgspec.json.encode({name: value for name, value in fields.items() if value is not None})
    return HTTPRequest("POST", url, {**_ACCEPT, "Content-Type": "application/json", **(headers or {})}, body)


def _form(url: str, fields: Mapping[str, str | None]) -> HTTPRequest:
    body = urlencode({name: value for name, value in fields.items() if value is not None}).encode()
    return HTTPRequest("POST", url, {**_ACCEPT, "Content-Type": "application/x-www-form-urlencoded"}, body)


_ACCEPT: Final = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "chatfleet"}
