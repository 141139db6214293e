"""A chat completion that came as one JSON document, as the payloads of a stream. Pure.

https://platform.openai.com/docs/api-reference/chat/object. A choice has a `message` instead of a `delta`, with the same
fields, so that the document is one odd chunk.
"""

import msgspec

from chatfleet_api.providers.whole import decoder

_decode = decoder(dict[str, msgspec.Raw])


def events_of(document: bytes) -> list[bytes]:
    """Return the document as one chunk, and the mark of the end; raise `ChatError` if it is cut or not an object."""
    return [msgspec.json.encode(_decode(document)), b"[DONE]"]
