"""The words with which vendors end an answer, in our terms. Pure.

One table for all dialects, since gateways hand on the words of the vendor behind them.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from chatfleet_api.domain.events import FinishReason

FINISH_REASONS: Final = MappingProxyType[str, FinishReason](
    {
        # OpenAI; the old form of tool calls; the reason of an incomplete response.
        "stop": "stop",
        "length": "length",
        "tool_calls": "tool_calls",
        "content_filter": "content_filter",
        "function_call": "tool_calls",
        "max_output_tokens": "length",
        # Anthropic.
        "end_turn": "stop",
        "stop_sequence": "stop",
        "max_tokens": "length",
        "model_context_window_exceeded": "length",
        "tool_use": "tool_calls",
        "refusal": "content_filter",
        # Hugging Face's text-generation-inference, Together, IBM watsonx.
        "eos_token": "stop",
        "eos": "stop",
        "token_limit": "length",
        # Mistral.
        "model_length": "length",
        # Cohere; `error_limit` is the end of its context.
        "complete": "stop",
        "tool_call": "tool_calls",
        "error_limit": "length",
        "error_toxic": "content_filter",
        # Gemini.
        "safety": "content_filter",
        "recitation": "content_filter",
        "blocklist": "content_filter",
        "prohibited_content": "content_filter",
        "spii": "content_filter",
        "image_safety": "content_filter",
        "image_prohibited_content": "content_filter",
        "image_recitation": "content_filter",
        "model_armor": "content_filter",
        # Amazon Bedrock, and its Titan.
        "guardrail_intervened": "content_filter",
        "content_filtered": "content_filter",
        "finish": "stop",
        "stop_criteria_met": "stop",
        # AI21.
        "endoftext": "stop",
        # Zhipu.
        "sensitive": "content_filter",
    }
)
"""By the words that vendors document, in lower case.

Any other word (`abort`, `error`, `malformed_function_call`): the answer is not whole. So is Anthropic's `pause_turn`,
which comes with the server's own tools only.
"""

UNFINISHED: Final = frozenset({"null", "not_finished"})
"""Words of DashScope and watsonx while the answer goes on."""


def finish_reason(word: str, words: Mapping[str, FinishReason] = FINISH_REASONS) -> FinishReason | None:
    """Return what `word`, in any case, means in `words`; None when it is not known to be the end of a whole answer."""
    return words.get(word) or words.get(word.lower())
