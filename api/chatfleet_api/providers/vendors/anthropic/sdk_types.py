"""The shapes of the official SDK, for the type checker alone: a pod does not have the SDK."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anthropic.types import (
        Base64PDFSourceParam,
        CacheControlEphemeralParam,
        DocumentBlockParam,
        ImageBlockParam,
        MessageParam,
        OutputConfigParam,
        RedactedThinkingBlockParam,
        TextBlockParam,
        ThinkingBlockParam,
        ToolChoiceParam,
        ToolParam,
        ToolResultBlockParam,
        ToolUseBlockParam,
    )
    from anthropic.types.message_create_params import MessageCreateParamsStreaming

    __all__ = (
        "Base64PDFSourceParam",
        "CacheControlEphemeralParam",
        "DocumentBlockParam",
        "ImageBlockParam",
        "MessageCreateParamsStreaming",
        "MessageParam",
        "OutputConfigParam",
        "RedactedThinkingBlockParam",
        "TextBlockParam",
        "ThinkingBlockParam",
        "ToolChoiceParam",
        "ToolParam",
        "ToolResultBlockParam",
        "ToolUseBlockParam",
    )
