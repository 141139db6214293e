"""An upstream in OpenAI's wire format that answers by the model's name: fast, slow, with tools, cut, or not at all."""

import msgspec

from harness.upstream.fake import Handler, Reply, playing
from harness.upstream.wires import WORDS, OpenAIWire, event, refusing, whole

WIRE = OpenAIWire()
PAUSE_SECONDS = 1.5
CALLS = (("call_a", "weather", '{"city":"Paris"}'), ("call_b", "clock", '{"tz":"CET"}'))
"""Calls of the model `tools`: id, name and arguments."""
LIMITED = b'{"error": {"message": "Slow down.", "type": "requests", "code": "rate_limit_exceeded"}}'


def calling() -> list[bytes]:
    """Return the chunks of `CALLS`, the arguments of each in two pieces."""
    pieces: list[dict[str, object]] = []
    for at, (key, name, arguments) in enumerate(CALLS):
        begun = {"name": name, "arguments": arguments[:3]}
        pieces.append({"index": at, "id": key, "type": "function", "function": begun})
        pieces.append({"index": at, "function": {"arguments": arguments[3:]}})
    return [*(_chunk({"tool_calls": [piece]}) for piece in pieces), _chunk({}, "tool_calls"), WIRE.finish()[-1]]


def _chunk(delta: dict[str, object], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return event(
        {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "x", "choices": [choice]}
    )


async def with_tools(reply: Reply) -> None:
    """Call two tools; asked again with their results, repeat these."""
    results = [message for message in reply.request.json["messages"] if message["role"] == "tool"]
    if results:
        words = [f"{each['tool_call_id']}={each['content']} " for each in results]
        await playing(*WIRE.begin(), *map(WIRE.token, words), *WIRE.finish(), "end")(reply)
    else:
        await playing(*WIRE.begin(), *calling(), "end")(reply)


def interrupted(*between: object) -> Handler:
    """Return the script of an answer in whose midst something else comes, twice."""
    first, second, *rest = map(WIRE.token, WORDS)
    return playing(*WIRE.begin(), first, *between, second, *between, *rest, *WIRE.finish(), "end")


SCRIPTS: dict[str, Handler] = {
    "fast": playing(*whole(WIRE), "end"),
    "slow": interrupted(PAUSE_SECONDS),
    "cut": playing(*WIRE.begin(), *map(WIRE.token, WORDS[:2]), "end"),
    "tools": with_tools,
    "limited": refusing(429, LIMITED),
}
"""Models, by how the upstream answers."""


async def by_model(reply: Reply) -> None:
    """Answer by the model's name."""
    await SCRIPTS[msgspec.json.decode(reply.request.body)["model"]](reply)
