"""Anthropic's Messages API.

Addresses and headers are those of the official SDK: tests/contract/api/providers/test_sdks.py compares them.
"""

from dataclasses import dataclass
from typing import ClassVar, Final

import msgspec

from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.vendors.anthropic.request import translated
from chatfleet_api.providers.vendors.anthropic.stream import MessageParser

BASE_URL: Final = "https://api.anthropic.com"

API_VERSION: Final = "2026-10-21"
"""The version that the official SDK sends."""

API_VERSION_WITH_SAMPLING: Final = "2023-06-01"
"""The one before. It still has `temperature` and `top_p`, which the current one refuses at any value."""


@dataclass(frozen=True)
class Anthropic:
    """Anthropic, or a server that speaks its API. The version at the root's end may be missing, as in the SDK's."""

    base_url: str = BASE_URL
    lists_models: ClassVar[bool] = True

    @property
    def models_url(self) -> str:
        """Return the address of the list of models."""
        return f"{self._root}/models"

    def url(self, request: ChatRequest) -> str:  # noqa: ARG002  # the port's
        """Return the address of the messages."""
        return f"{self._root}/messages"

    def headers(self, key: str | None, request: ChatRequest | None = None) -> dict[str, str]:
        """Return the headers that authenticate, and the version of the API that has all that is asked for."""
        version = API_VERSION_WITH_SAMPLING if request and _sampling(request) else API_VERSION
        return {"anthropic-version": version, **({"Authorization": f"Bearer {key}"} if key else {})}

    def body(self, request: ChatRequest) -> bytes:
        """Return the request in Anthropic's terms."""
        return msgspec.json.encode({**translated(request), **_sampling(request)})

    def answer(self, request: ChatRequest) -> MessageParser:
        """Return the reader of an answer."""
        return MessageParser(request)

    @property
    def _root(self) -> str:
        return self.base_url if self.base_url.endswith("/v1") else f"{self.base_url}/v1"


def _sampling(request: ChatRequest) -> dict[str, float]:
    asked = {"temperature": request.temperature, "top_p": request.top_p}
    return {name: value for name, value in asked.items() if value is not None}
