"""The row of Bedrock: its endpoint, its region and whether it streams decide the addresses."""

from typing import Final
from urllib.parse import quote

from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.environment import Environment
from chatfleet_api.providers.vendor import Vendor
from chatfleet_api.providers.vendors.bedrock import messages
from chatfleet_api.providers.vendors.bedrock import request as converse
from chatfleet_api.providers.vendors.bedrock.errors import ERROR_NAMES
from chatfleet_api.providers.vendors.bedrock.framing import MEDIA_TYPE, EventStreamFraming
from chatfleet_api.providers.vendors.bedrock.messages import MessagesParser
from chatfleet_api.providers.vendors.bedrock.regions import domain
from chatfleet_api.providers.vendors.bedrock.signing import AWSAuthentication
from chatfleet_api.providers.vendors.bedrock.stream import ConverseParser
from chatfleet_api.providers.vendors.bedrock.whole import events_of
from chatfleet_api.providers.vendors.openai import lossless as openai_lossless
from chatfleet_api.providers.vendors.openai import request as openai
from chatfleet_api.providers.vendors.openai import whole as openai_whole
from chatfleet_contract.runtime import RuntimeProvider
from chatfleet_contract.spec.providers import Compatibility

DENIED: Final = frozenset({"AccessDeniedException"})
CHECK_PATH: Final = "/async-invoke?maxResults=1"
"""Lists asynchronous requests: the only GET of this endpoint without an id, and it costs nothing."""


def bedrock(provider: RuntimeProvider, environment: Environment) -> Vendor:
    """Return the row for the settings of `provider`; raise `ValueError` when they are missing."""
    settings = provider.bedrock
    if settings is None:
        raise ValueError(f"provider {provider.name}: type {provider.type} needs bedrock.region; add it")
    region = settings.region
    service = "bedrock-mantle" if settings.endpoint == "mantle" else "bedrock"
    signing = AWSAuthentication(environment, service=service, region=region, identity=provider.workload_identity)
    if settings.endpoint == "mantle":
        return _mantle(region, signing)
    return _converse(region, signing, streams=provider.compatibility.stream)


def _converse(region: str, signing: AWSAuthentication, *, streams: bool) -> Vendor:
    def path(request: ChatRequest) -> str:
        if messages.sent_to_model(request):
            action = "invoke-with-response-stream" if streams else "invoke"
        else:
            action = "converse-stream" if streams else "converse"
        return _model_path(request, action)

    return Vendor(
        base_url=f"https://bedrock-runtime.{region}.{domain(region)}",
        path=path,
        models_path=CHECK_PATH,
        names_models=False,
        authentication=signing,
        checks_denied=DENIED,
        error_codes=ERROR_NAMES,
        body=_body,
        media_type=MEDIA_TYPE,
        framing=EventStreamFraming,
        parser=lambda request: MessagesParser(request) if messages.sent_to_model(request) else ConverseParser(request),
        events_of=events_of,
    )


def _model_path(request: ChatRequest, action: str) -> str:
    return f"/model/{quote(request.model, safe='')}/{action}"


def _body(request: ChatRequest, compatibility: Compatibility) -> bytes:
    if sent := messages.sent_to_model(request):
        return messages.body(request, sent, compatibility)
    return converse.body(request, compatibility)


def _mantle(region: str, signing: AWSAuthentication) -> Vendor:
    return Vendor(
        base_url=f"https://bedrock-mantle.{region}.api.aws/openai/v1",
        path=lambda _: "/chat/completions",
        models_path="/models",
        lists_models=False,
        authentication=signing,
        checks_denied=DENIED,
        error_codes=ERROR_NAMES,
        body=openai.compatible_body,
        parser=openai_lossless.parser,
        events_of=openai_whole.events_of,
    )
