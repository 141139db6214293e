"""A chat completion that came as one JSON document, as the payloads of a stream. Pure.

https://platform.openai.com/docs/api-reference/chat/object. A message has the fields of a delta, so one chunk has it
all, and what `stream` tolerates is tolerated here too.
"""

from typing import Final

import msgspec

from chatfleet_api.providers.whole import decoder

_NULL: Final = msgspec.Raw(b"null")


class _Choice(msgspec.Struct):
    message: msgspec.Raw = _NULL
    finish_reason: msgspec.Raw = _NULL


class _Completion(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: msgspec.Raw = _NULL
    error: msgspec.Raw = _NULL


_decode = decoder(_Completion)


def events_of(document: bytes) -> list[bytes]:
    """Return the chunk that brings the whole answer, and the mark of its end; raise `ChatError` if it is none."""
    completion = _decode(document)
    if completion.choices is None:
        return [document, b"[DONE]"]  # an error, in whichever shape, or no answer at all
    choices = [{"delta": choice.message, "finish_reason": choice.finish_reason} for choice in completion.choices]
    chunk: dict[str, object] = {"choices": choices, "usage": completion.usage}
    if completion.error != _NULL:
        chunk["error"] = completion.error
    return [msgspec.json.encode(chunk), b"[DONE]"]
