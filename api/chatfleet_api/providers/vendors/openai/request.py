"""Requests in OpenAI's terms, which ours are already, and the few differences of Azure and of imitations. Pure.

Addresses, headers and fields are those of the official SDK: tests/contract/api/providers/test_sdks.py compares them.
"""

from hashlib import sha256
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

import msgspec

from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_contract.runtime import RuntimeProvider
from chatfleet_contract.spec.providers import Compatibility

ALL: Final = Compatibility()

MAX_ID: Final = 40
"""Longest id of a tool call that OpenAI takes."""

CONTINUE: Final = MappingProxyType({"continue_final_message": True, "add_generation_prompt": False})
"""Makes vLLM and SGLang continue the last message instead of answering it."""


def body(
    request: ChatRequest, compatibility: Compatibility = ALL, *, limit_field: str = "max_completion_tokens"
) -> bytes:
    """Return the request with the fields that it sets and no more, streamed and with usage unless left out."""
    fields = {name: value for name, value in msgspec.structs.asdict(request).items() if value not in (None, ())}
    fields["messages"] = [_with_short_ids(message) for message in request.messages]
    if fields.pop("continues"):
        fields |= CONTINUE
    if "max_tokens" in fields:
        fields[limit_field] = fields.pop("max_tokens")
    fields["stream"] = compatibility.stream
    if compatibility.stream and compatibility.stream_options:
        fields["stream_options"] = {"include_usage": True}
    return msgspec.json.encode(fields)


def _with_short_ids(message: Message) -> Message:
    """Return `message` with ids of tool calls that OpenAI takes; those of vLLM are longer."""
    if message.tool_call_id:
        return msgspec.structs.replace(message, tool_call_id=_short(message.tool_call_id))
    if message.tool_calls:
        calls = [msgspec.structs.replace(call, id=_short(call.id)) for call in message.tool_calls]
        return msgspec.structs.replace(message, tool_calls=calls)
    return message


def _short(ident: str) -> str:
    """Return the same short id for the same long one, so that call and result match."""
    return ident if len(ident) <= MAX_ID else f"call_{sha256(ident.encode()).hexdigest()[:32]}"


def compatible_body(request: ChatRequest, compatibility: Compatibility = ALL) -> bytes:
    """Return the request for a server that imitates OpenAI: vLLM, llama.cpp, Ollama, text-generation-inference.

    They all know `max_tokens`, and their chat templates know the role `system` but not `developer`.
    """
    messages = tuple(
        msgspec.structs.replace(message, role="system") if message.role == "developer" else message
        for message in request.messages
    )
    return body(msgspec.structs.replace(request, messages=messages), compatibility, limit_field="max_tokens")


def azure_path(request: ChatRequest) -> str:
    """Return the path of the deployment, whose name is the model's, below an Azure OpenAI resource."""
    return f"/openai/deployments/{quote(request.model, safe=':@')}/chat/completions"


def azure_query(provider: RuntimeProvider) -> str:
    return f"?api-version={provider.azure.api_version}" if provider.azure else ""
