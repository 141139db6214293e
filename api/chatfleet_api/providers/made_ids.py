"""Ids for tool calls that come without one. Pure.

Clients send an id back with the tool's result, so that it must occur once in a conversation, however much of it a
client sends. It is made from the messages that were answered: those that contain another made id are other messages.
The same request, repeated on another pod, gets the same ids.
"""

from hashlib import sha256

import msgspec

from chatfleet_api.domain.request import ChatRequest


def made_id(request: ChatRequest, number: int) -> str:
    """Return the id of call `number` in the answer to `request`; short enough, and of characters, for every vendor."""
    digest = sha256(msgspec.json.encode(request.messages)).hexdigest()
    return f"call_{digest[:20]}_{number}"
