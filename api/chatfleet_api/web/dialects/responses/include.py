"""What a request wants in the output beside the usual: each value is honoured or named."""

from collections.abc import Iterator, Sequence
from typing import Final

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import CHAT, Untranslated

ENCRYPTED_REASONING: Final = "reasoning.encrypted_content"
LOG_PROBABILITIES: Final = "message.output_text.logprobs"
_ALWAYS: Final = frozenset({"message.input_image.image_url", "computer_call_output.output.image_url"})
"""Items of inputs are returned as they came."""
_OF_TOOLS: Final = frozenset(
    {
        "code_interpreter_call.outputs",
        "file_search_call.results",
        "web_search_call.action.sources",
        "web_search_call.results",
    }
)
"""Of tools that only an upstream of the dialect has."""


def beyond(include: Sequence[str] | None) -> Iterator[Untranslated]:
    """Yield the values that only an upstream of the dialect has; raise `ChatError(INVALID_REQUEST)` for an unknown."""
    for position, value in enumerate(include or ()):
        param = f"include[{position}]"
        if value in _OF_TOOLS or value == LOG_PROBABILITIES:
            message = f"Unsupported value: '{param}', '{value}', which the model's provider does not have. Omit it."
            yield Untranslated(param, message, (CHAT,) if value == LOG_PROBABILITIES else ())
        elif value != ENCRYPTED_REASONING and value not in _ALWAYS:
            known = ", ".join(sorted({ENCRYPTED_REASONING, LOG_PROBABILITIES, *_ALWAYS, *_OF_TOOLS}))
            raise ChatError(Code.INVALID_REQUEST, f"Invalid value for '{param}'. Use {known}.", param=param)
