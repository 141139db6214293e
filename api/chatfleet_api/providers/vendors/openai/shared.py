"""Fields that OpenAI's two APIs share: from the request of a response, those that a chat completion has, too. Pure."""

from typing import Any, Final

import msgspec

from chatfleet_api.domain.request import RESPONSES, ChatRequest
from chatfleet_api.providers.own_dialect import sent_in

_HINTS: Final = ("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "safety_identifier")
"""They change no answer, and servers that imitate OpenAI may reject them."""


_NULL: Final = msgspec.Raw(b"null")
_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def of_response(request: ChatRequest, *, with_hints: bool) -> dict[str, Any]:
    """Return the fields of a response's request that a chat completion has, as they were sent."""
    sent = sent_in(RESPONSES, request)
    if sent is None:
        return {}
    given = _fields(sent.body)
    fields = {name: given.get(name, _NULL) for name in ("service_tier", *(_HINTS if with_hints else ()))}
    text = given.get("text", _NULL)
    fields["verbosity"] = _NULL if text == _NULL else _fields(text).get("verbosity", _NULL)
    return {name: value for name, value in fields.items() if value != _NULL}
