"""OpenAI's chat completions, and those who speak them: Azure OpenAI, and servers that are compatible.

Addresses, headers and bodies are those of the official SDK: tests/contract/api/providers/test_sdks.py compares them.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final
from urllib.parse import quote

import msgspec
from typing_extensions import override

from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.vendors.openai.stream import CompletionParser

BASE_URL: Final = "https://api.openai.com/v1"

CONTINUE: Final = MappingProxyType({"continue_final_message": True, "add_generation_prompt": False})
"""What vLLM and SGLang are told so that they go on with the last message instead of answering it."""


@dataclass(frozen=True)
class OpenAI:
    """OpenAI itself."""

    base_url: str = BASE_URL
    lists_models: ClassVar[bool] = True
    limit_field: ClassVar[str] = "max_completion_tokens"

    @property
    def models_url(self) -> str:
        """Return the address of the list of models."""
        return f"{self.base_url}/models"

    def url(self, request: ChatRequest) -> str:  # noqa: ARG002  # Azure needs it
        """Return the address of chat completions."""
        return f"{self.base_url}/chat/completions"

    def headers(self, key: str | None, request: ChatRequest | None = None) -> dict[str, str]:  # noqa: ARG002  # the port's
        """Return the headers that authenticate."""
        return {"Authorization": f"Bearer {key}"} if key else {}

    def body(self, request: ChatRequest) -> bytes:
        """Return the request, which is in OpenAI's terms already, as asked for and no more, streamed and with usage."""
        asked = {name: value for name, value in msgspec.structs.asdict(request).items() if value not in (None, ())}
        if asked.pop("continues"):
            asked |= CONTINUE
        if "max_tokens" in asked:
            asked[self.limit_field] = asked.pop("max_tokens")
        return msgspec.json.encode({**asked, "stream": True, "stream_options": {"include_usage": True}})

    def answer(self, request: ChatRequest) -> CompletionParser:
        """Return the reader of an answer."""
        return CompletionParser(request)


@dataclass(frozen=True)
class AzureOpenAI(OpenAI):
    """An Azure OpenAI resource; a model's name is the name of its deployment."""

    api_version: str = ""

    @property
    @override
    def models_url(self) -> str:
        """Return the address of the list of models, which the data plane has too."""
        return f"{self.base_url}/openai/models?api-version={self.api_version}"

    @override
    def url(self, request: ChatRequest) -> str:
        """Return the address of the deployment's chat completions."""
        deployment = quote(request.model, safe=":@")
        return f"{self.base_url}/openai/deployments/{deployment}/chat/completions?api-version={self.api_version}"

    @override
    def headers(self, key: str | None, request: ChatRequest | None = None) -> dict[str, str]:  # the port's
        """Return the headers that authenticate."""
        return {"api-key": key} if key else {}


@dataclass(frozen=True)
class Compatible(OpenAI):
    """A server that imitates OpenAI: vLLM, llama.cpp, Ollama, text-generation-inference, many a vendor."""

    lists_models: ClassVar[bool] = False
    limit_field: ClassVar[str] = "max_tokens"  # the name that they all know

    @override
    def body(self, request: ChatRequest) -> bytes:
        """Return the request with the role `system` for `developer`, which chat templates do not know."""
        messages = tuple(
            msgspec.structs.replace(message, role="system") if message.role == "developer" else message
            for message in request.messages
        )
        return super().body(msgspec.structs.replace(request, messages=messages))
