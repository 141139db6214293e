"""The parameters of a request, as each snapshot of its response shows them.

They travel with the run, in its `Start`: so every pod shows the same, whenever it encodes the response.
"""

from typing import TYPE_CHECKING, Any, Final

import msgspec

from chatfleet_api.web.dialects.responses.include import ENCRYPTED_REASONING
from chatfleet_api.web.dialects.responses.output import Form
from chatfleet_api.web.dialects.responses.reasoning import ReasoningOptions
from chatfleet_api.web.dialects.responses.text import shown
from chatfleet_api.web.dialects.responses.tools import shown_tools
from chatfleet_api.web.sse import json_text

INCLUDE: Final = "include"
"""What the request wants in the output; no response shows it."""

if TYPE_CHECKING:
    from chatfleet_api.web.dialects.responses.request import ResponseBody


def echo_of(body: "ResponseBody") -> str:
    """Return the parameters with the vendor's defaults in the place of those that are absent, as JSON."""
    reasoning, named = body.reasoning or ReasoningOptions(), body.conversation
    named = named if named is None or isinstance(named, str) else named.id
    return json_text(
        {
            "background": bool(body.background),
            "conversation": {"id": named} if named else None,
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "max_tool_calls": body.max_tool_calls,
            "metadata": body.metadata or {},
            "parallel_tool_calls": body.parallel_tool_calls is not False,
            "previous_response_id": body.previous_response_id,
            "prompt_cache_key": body.prompt_cache_key,
            "reasoning": {"effort": reasoning.effort, "summary": reasoning.length},
            "safety_identifier": body.safety_identifier,
            "service_tier": "default" if body.service_tier in (None, "auto") else body.service_tier,
            "store": body.store is not False,
            "temperature": 1.0 if body.temperature is None else body.temperature,
            "text": {"format": shown(body.text), "verbosity": (body.text and body.text.verbosity) or "medium"},
            "tool_choice": body.tool_choice or "auto",
            "tools": shown_tools(body.tools),
            "top_logprobs": body.top_logprobs or 0,
            "top_p": 1.0 if body.top_p is None else body.top_p,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "truncation": body.truncation or "disabled",
            "user": body.user,
            **({INCLUDE: body.include} if body.include else {}),
        }
    ).decode()


def read_echo(echo: str) -> dict[str, Any]:
    """Return the parameters that `echo_of` wrote."""
    parameters: dict[str, Any] = msgspec.json.decode(echo) if echo else {}
    return parameters


def form_of(parameters: dict[str, Any]) -> Form:
    """Return the form in which the request wanted its reasoning, and take out what no response shows."""
    include = parameters.pop(INCLUDE, ())
    return Form(bool((parameters.get("reasoning") or {}).get("summary")), ENCRYPTED_REASONING in include)
