"""One row for each provider type, in the order of `ProviderType`."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Final, TypeAlias

from chatfleet_api.providers.environment import Environment
from chatfleet_api.providers.provider import Backend
from chatfleet_api.providers.upstream import connect
from chatfleet_api.providers.vendor import Body, Vendor, key_header
from chatfleet_api.providers.vendors.anthropic import lossless as anthropic_lossless
from chatfleet_api.providers.vendors.anthropic import request as anthropic
from chatfleet_api.providers.vendors.anthropic import whole as anthropic_whole
from chatfleet_api.providers.vendors.bedrock.vendor import bedrock
from chatfleet_api.providers.vendors.openai import lossless as openai_lossless
from chatfleet_api.providers.vendors.openai import request as openai
from chatfleet_api.providers.vendors.openai import whole as openai_whole
from chatfleet_api.providers.vendors.responses import lossless as responses_lossless
from chatfleet_api.providers.vendors.responses import request as responses
from chatfleet_api.providers.vendors.responses import whole as responses_whole
from chatfleet_api.providers.vendors.scripted.provider import connect_scripted
from chatfleet_contract.runtime import RuntimeProvider
from chatfleet_contract.spec.provider_types import ProviderType

Connect: TypeAlias = Callable[[RuntimeProvider, Environment], Backend]
"""Returns the upstream of a configured provider; raises `ValueError` when its settings do not fit its type."""

OPENAI: Final = Vendor(
    base_url="https://api.openai.com/v1",
    path=lambda _: "/chat/completions",
    embeddings_path=lambda _: "/embeddings",
    models_path="/models",
    body=openai.keyed_body,
    parser=openai_lossless.parser,
    events_of=openai_whole.events_of,
)
AZURE_OPENAI: Final = Vendor(
    path=openai.azure_path,
    embeddings_path=openai.azure_embeddings_path,
    models_path="/openai/models",
    names_models=False,
    query=openai.azure_query,
    authenticate=key_header("api-key"),
    body=openai.azure_body,
    parser=openai_lossless.parser,
    events_of=openai_whole.events_of,
)
AZURE_V1: Final = Vendor(
    root=openai.azure_v1_root,
    path=lambda _: "/chat/completions",
    embeddings_path=lambda _: "/embeddings",
    models_path="/models",
    names_models=False,
    authenticate=key_header("api-key"),
    body=openai.keyed_body,
    parser=openai_lossless.parser,
    events_of=openai_whole.events_of,
)
OPENAI_COMPATIBLE: Final = Vendor(
    path=lambda _: "/chat/completions",
    embeddings_path=lambda _: "/embeddings",
    models_path="/models",
    lists_models=False,
    headers=openai.session_header,
    body=openai.compatible_body,
    parser=openai_lossless.parser,
    events_of=openai_whole.events_of,
)


def with_responses(chat: Vendor, body: Body = responses.body) -> Vendor:
    """Return the row of `chat` with the Responses API in the place of chat completions."""
    return replace(
        chat,
        path=lambda _: "/responses",
        body=body,
        parser=responses_lossless.parser,
        events_of=responses_whole.events_of,
    )


OPENAI_RESPONSES: Final = with_responses(OPENAI)
AZURE_RESPONSES: Final = with_responses(AZURE_V1)
COMPATIBLE_RESPONSES: Final = with_responses(OPENAI_COMPATIBLE, responses.compatible_body)
ANTHROPIC: Final = Vendor(
    base_url="https://api.anthropic.com",
    root=anthropic.root,
    path=lambda _: "/messages",
    models_path="/models",
    headers=anthropic.version,
    body=anthropic.body,
    count=anthropic.count,
    parser=anthropic_lossless.parser,
    events_of=anthropic_whole.events_of,
)


def connect_openai(chat: Vendor, other: Vendor, provider: RuntimeProvider, environment: Environment) -> Backend:
    """Return the upstream by the API that its settings name."""
    return connect(other if provider.api == "responses" else chat, provider, environment)


def connect_azure(provider: RuntimeProvider, environment: Environment) -> Backend:
    """Return the upstream of a resource of Azure, by the API of its dated version or by the v1 API."""
    if openai.azure_version(provider):
        return connect(AZURE_OPENAI, provider, environment)
    return connect_openai(AZURE_V1, AZURE_RESPONSES, provider, environment)


def connect_bedrock(provider: RuntimeProvider, environment: Environment) -> Backend:
    """Return the upstream of a region of Bedrock, by the API of its endpoint."""
    return connect(bedrock(provider, environment), provider, environment)


VENDORS: Final[Mapping[ProviderType, Connect]] = MappingProxyType(
    {
        ProviderType.OPENAI: partial(connect_openai, OPENAI, OPENAI_RESPONSES),
        ProviderType.AZURE_OPENAI: connect_azure,
        ProviderType.ANTHROPIC: partial(connect, ANTHROPIC),
        ProviderType.BEDROCK: connect_bedrock,
        ProviderType.OPENAI_COMPATIBLE: partial(connect_openai, OPENAI_COMPATIBLE, COMPATIBLE_RESPONSES),
        ProviderType.SCRIPTED: connect_scripted,
    }
)
