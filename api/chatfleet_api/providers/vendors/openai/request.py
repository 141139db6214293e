"""Requests in OpenAI's terms, which ours are already, and the few differences of Azure and of imitations. Pure.

What came in the same dialect goes on as it was sent (`as_sent`).

Addresses, headers and fields are those of the official SDK: tests/contract/api/providers/test_sdks.py compares them.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

import msgspec

from chatfleet_api.domain.request import CHAT, ChatRequest, Message
from chatfleet_api.providers.own_dialect import require_translated, sent_in
from chatfleet_api.providers.vendors.openai import as_sent
from chatfleet_api.providers.vendors.openai.conversation import conversation
from chatfleet_api.providers.vendors.openai.shared import of_response
from chatfleet_contract.runtime import RuntimeProvider
from chatfleet_contract.spec.providers import Compatibility

ALL: Final = Compatibility()

_AZURE_V1: Final = "/openai/v1"

CONTINUE: Final = MappingProxyType({"continue_final_message": True, "add_generation_prompt": False})
"""Makes vLLM and SGLang continue the last message instead of answering it."""


def body(request: ChatRequest, compatibility: Compatibility = ALL) -> bytes:
    """Return the request for an API that is OpenAI's of today."""
    return _body(request, partial(conversation, has_original=True), compatibility)


def keyed_body(request: ChatRequest, compatibility: Compatibility = ALL) -> bytes:
    """Return the request for OpenAI itself, and for Azure's v1 API: their prompt caches have a key."""
    return _body(request, partial(conversation, has_original=True), compatibility, has_cache_key=True)


def session_header(request: ChatRequest | None) -> Mapping[str, str]:
    """Return the header by which routers in front of imitations keep a conversation on one replica."""
    affinity = request.affinity if request is not None else None
    return {"x-session-affinity": affinity.key} if affinity is not None else {}


def azure_body(request: ChatRequest, compatibility: Compatibility = ALL) -> bytes:
    """Return the request for Azure, whose dated versions of the API are older than `detail` `original` of images."""
    return _body(request, conversation, compatibility)


def _body(
    request: ChatRequest,
    adapt: as_sent.Adapt,
    compatibility: Compatibility,
    *,
    limit_field: str = "max_completion_tokens",
    has_cache_key: bool = False,
) -> bytes:
    """Return the request with the fields that it sets and no more, streamed and with usage unless left out."""
    if sent := sent_in(CHAT, request):
        fields = as_sent.body(request, sent, compatibility, adapt)
        if limit_field == "max_tokens":
            fields = as_sent.with_both_limits(fields)
        return msgspec.json.encode(fields | CONTINUE if request.continues else fields)
    require_translated(request, CHAT)
    fields = {name: value for name, value in msgspec.structs.asdict(request).items() if value not in (None, ())}
    for name in ("sent", "reasoning_summary", "truncates", "affinity", "caches_instructions", "keeps_thoughts"):
        fields.pop(name, None)
    fields["messages"] = adapt(request.messages)
    fields |= of_response(request, with_hints=limit_field != "max_tokens")
    if has_cache_key and request.affinity is not None:
        fields.setdefault("prompt_cache_key", request.affinity.key)
    if fields.pop("continues"):
        fields |= CONTINUE
    if "max_tokens" in fields:
        fields[limit_field] = fields.pop("max_tokens")
    fields["stream"] = compatibility.stream
    if compatibility.stream and compatibility.stream_options:
        fields["stream_options"] = {"include_usage": True}
    return msgspec.json.encode(fields)


def compatible_body(request: ChatRequest, compatibility: Compatibility = ALL) -> bytes:
    """Return the request for a server that imitates OpenAI: vLLM, llama.cpp, Ollama, text-generation-inference.

    They all know `max_tokens`, and their chat templates know the role `system` but not `developer`.
    """
    return _body(request, _without_developers, compatibility, limit_field="max_tokens")


def _without_developers(messages: Sequence[Message]) -> list[Message]:
    return [
        msgspec.structs.replace(message, role="system") if message.role == "developer" else message
        for message in conversation([_with_reasoning(message) for message in messages])
    ]


def _with_reasoning(message: Message) -> Message:
    """Return a message that called tools with its reasoning, which DeepSeek and Kimi want back."""
    if not (message.tool_calls and message.thoughts):
        return message
    text = "".join(part.text for part in message.thoughts if part.signature is None)
    return msgspec.structs.replace(message, reasoning_content=text or None)


def azure_path(request: ChatRequest) -> str:
    """Return the path of the deployment, whose name is the model's, below an Azure OpenAI resource."""
    return _azure_deployment(request.model) + "/chat/completions"


def azure_embeddings_path(model: str) -> str:
    """Return the path of embeddings by a deployment."""
    return _azure_deployment(model) + "/embeddings"


def _azure_deployment(model: str) -> str:
    return f"/openai/deployments/{quote(model, safe=':@')}"


def azure_query(provider: RuntimeProvider) -> str:
    return f"?api-version={azure_version(provider)}"


def azure_version(provider: RuntimeProvider) -> str | None:
    """Return the dated version of Azure's API; None: its v1 API, which has none."""
    return provider.azure.api_version if provider.azure else None


def azure_v1_root(base_url: str) -> str:
    """Return the root of Azure's v1 API, below a resource or given with it."""
    return base_url if base_url.endswith(_AZURE_V1) else base_url + _AZURE_V1
