"""What becomes of each property of a vendor's answer on the way to each client: found by playing it, never written."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple, get_args

import msgspec
from anthropic.types import Message as AnthropicMessage
from anthropic.types import RawMessageStreamEvent
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent

from chatfleet_api.domain.errors import ChatError
from chatfleet_api.domain.events import Complete, Event, Start
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.provider import Finish, StreamItem
from chatfleet_api.providers.vendor import Vendor
from chatfleet_api.providers.vendors.table import ANTHROPIC, OPENAI, OPENAI_RESPONSES
from chatfleet_api.runs.tail import Batch
from chatfleet_api.web.collect import collect
from chatfleet_api.web.dialects.messages.encode import MessageEncoder
from chatfleet_api.web.dialects.messages.message import collected
from chatfleet_api.web.dialects.openai.encode import ChunkEncoder, completion_body
from chatfleet_api.web.dialects.responses.encode import ResponseEncoder
from harness.clients.asgi import each
from harness.conformance.dialects import CHAT, MESSAGES, RESPONSES, Dialect, without
from harness.conformance.outcomes import Outcome, run
from harness.conformance.properties import Probe, Property, label_of, properties_of
from harness.sdk_samples import texts_in

Payloads = list[dict[str, Any]]

HELLO = {"content": "Hello"}
CHOICE_END = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
START = {"type": "message_start", "message": {"usage": {"input_tokens": 1}}}
OPENED = {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t", "name": "f"}}
END: Payloads = [
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
    {"type": "message_stop"},
]
OURS = frozenset({"id", "model", "object", "index", "created", "role", "created_at", "completed_at", "sequence_number"})
"""The pod's own: ids, the client's name of the model, times, numbers of parts."""
PADDING = "obfuscation"
SNAPSHOTS = frozenset({"created", "queued", "in_progress", "completed", "incomplete", "failed"})
"""Events of a response that have all of it, as it is whole."""
ECHO = frozenset({"instructions", "tools", "tool_choice", "text", "reasoning", "prompt", "moderation"})
"""Parts of a response that repeat its request."""
OWN = re.compile(r"(status|error(\..*)?|store|background|conversation(\..*)?|previous_response_id|metadata)$")
"""What the pod has to answer for in a response."""


class Answer(NamedTuple):
    """A kind of answer of a vendor's API."""

    name: str
    vendor: Vendor
    kind: Any
    dialect: Dialect
    form: Literal["whole", "streamed"]
    played: Callable[[dict[str, Any]], Payloads]
    """Returns the payloads of an answer with this one in it."""


def completion(sample: dict[str, Any]) -> Payloads:
    """Return a completion that is whole."""
    choices = [{**choice, "index": 0} for choice in sample.get("choices", ())]
    return [{**sample, "choices": choices}]


def chunks(sample: dict[str, Any]) -> Payloads:
    """Return the chunk, and one that ends the answer."""
    choices = [{**choice, "index": 0, "delta": choice["delta"] or HELLO} for choice in sample.get("choices", ())]
    ends = any(choice.get("finish_reason") for choice in choices)
    return [{**sample, "choices": choices}, *([] if ends else [CHOICE_END])]


def message(sample: dict[str, Any]) -> Payloads:
    """Return a message that is whole."""
    return [{"stop_reason": "end_turn", **sample}]


def events(sample: dict[str, Any]) -> Payloads:
    """Return the event, and what has to stand around it."""
    kind = sample["type"]
    first = [] if kind == "message_start" else [START]
    before = [OPENED, {**OPENED, "index": 1}] if kind == "content_block_delta" else []
    last = END[1:] if kind == "message_delta" else END
    if kind == "message_delta":
        sample = {**sample, "delta": {"stop_reason": "end_turn", **sample["delta"]}}
    return [*first, *before, *([] if kind == "message_stop" else [sample]), *last]


def response(sample: dict[str, Any]) -> Payloads:
    """Return a response that is whole."""
    return [_ended(sample, "incomplete" if (sample.get("incomplete_details") or {}).get("reason") else "completed")]


def _ended(sample: dict[str, Any], status: str) -> dict[str, Any]:
    return {**sample, "status": status, "error": None}


def response_events(sample: dict[str, Any]) -> Payloads:
    """Return the event, and one that ends the response."""
    kind = sample["type"]
    called = {"type": "function_call", "call_id": "c", "name": "f"}
    begun = {"type": "response.output_item.added", "output_index": sample.get("output_index"), "item": called}
    before = [begun] if kind.endswith(("arguments.delta", "call_input.delta")) else []
    return [*before, sample, {"type": "response.completed", "response": {"status": "completed"}}]


ANSWERS = (
    Answer("Chat completions, whole", OPENAI, ChatCompletion, CHAT, "whole", completion),
    Answer("Chat completions, streamed", OPENAI, ChatCompletionChunk, CHAT, "streamed", chunks),
    Answer("Responses, whole", OPENAI_RESPONSES, Response, RESPONSES, "whole", response),
    Answer("Responses, streamed", OPENAI_RESPONSES, ResponseStreamEvent, RESPONSES, "streamed", response_events),
    Answer("Messages, whole", ANTHROPIC, AnthropicMessage, MESSAGES, "whole", message),
    Answer("Messages, streamed", ANTHROPIC, RawMessageStreamEvent, MESSAGES, "streamed", events),
)


def properties(answer: Answer) -> list[Property]:
    """Return the properties of an answer; those of an event are named after it."""
    if hasattr(answer.kind, "model_fields"):
        return [each for each in properties_of(answer.kind) if answer.kind is not Response or each.top not in ECHO]
    found: list[Property] = []
    for kind in get_args(get_args(answer.kind)[0]):
        name = label_of(kind)
        if name.strip("()").removeprefix("response.") in SNAPSHOTS:
            continue
        tag = {"type": name.strip("()")}
        for path, probes in properties_of(kind, ours=tag):
            if "output_item.added" in name and path.startswith("item"):  # as of its end
                continue
            found.append(Property(f"{name.strip('()')}.{path}", probes))
    return found


def outcome(answer: Answer, client: Dialect, prop: Property) -> Outcome:
    """Return what becomes of a property on the way to a client."""
    if prop.path.endswith(PADDING):
        return Outcome.HINT
    if re.split(r"[.\[(]", prop.path)[-1] in OURS or OWN.match(prop.path):
        return Outcome.HONORED
    found = {_probed(answer, client, probe) for probe in prop.probes}
    is_own = client is answer.dialect
    if found <= {None}:
        return Outcome.LOST if is_own else Outcome.NO_COUNTERPART
    if is_own and Outcome.LOST in found:
        return Outcome.LOST
    return Outcome.PASSED if is_own else Outcome.TRANSLATED


def _probed(answer: Answer, client: Dialect, probe: Probe) -> Outcome | None:
    """Return what becomes of one value; None: nothing that can be seen."""
    shown = _shown(answer, client, probe.document)
    other = None if probe.other is None else _shown(answer, client, probe.other)
    own = set(texts_in(without(probe.value, OURS)))
    arrived = own & set(re.findall(r"s\d{6}", shown))
    if client is answer.dialect and own - arrived:
        return Outcome.LOST
    is_there = isinstance(probe.value, list) and json.dumps(probe.value, separators=(",", ":")) in shown
    return Outcome.PASSED if arrived or is_there or (other is not None and other != shown) else None


def _shown(answer: Answer, client: Dialect, document: dict[str, Any]) -> str:
    """Return what a client gets."""
    request = client.read(
        json.dumps({**client.least, **({"functions": [{"name": "f"}]} if client is CHAT else {})}).encode()
    )
    try:
        items = parsed(answer, request, answer.played(document))
        return CLIENTS[client.name, answer.form](Batch(1, tuple(events_of(items))))
    except ChatError as error:
        return f"{error.code} {error.detail}"


def parsed(answer: Answer, request: ChatRequest, payloads: Payloads) -> list[StreamItem]:
    """Return what the parser of a vendor makes of its payloads."""
    parser, items = answer.vendor.parser(request), list[StreamItem]()
    texts = [json.dumps(payload).encode() for payload in payloads]
    if answer.form == "whole":
        assert answer.vendor.events_of
        texts = [event for text in texts for event in answer.vendor.events_of(text)]
    for text in texts:
        parser.read(text, items)
    if not parser.done:
        items.append(parser.end())
    return items


def events_of(items: list[StreamItem]) -> Iterator[Event]:
    """Yield the events of a run with this answer."""
    *pieces, finish = items
    assert isinstance(finish, Finish)
    yield Start("r", "m", 1)
    yield from pieces  # type: ignore[misc]  # the finish is the last one
    yield Complete(finish.reason, finish.usage, extra=finish.extra)


def _whole_response(batch: Batch) -> str:
    encoder = ResponseEncoder("resp_r")
    encoder.encode(batch)
    return msgspec.json.encode(encoder.response()).decode()


CLIENTS: dict[tuple[str, str], Callable[[Batch], str]] = {
    ("chat", "streamed"): lambda batch: ChunkEncoder(include_usage=True).encode(batch).decode(),
    ("chat", "whole"): lambda batch: completion_body(run(collect(each(batch))), None).decode(),
    ("messages", "streamed"): lambda batch: MessageEncoder("q1").encode(batch).decode(),
    ("messages", "whole"): lambda batch: run(collected(each(batch))).decode(),
    ("responses", "streamed"): lambda batch: ResponseEncoder("resp_r").encode(batch).decode(),
    ("responses", "whole"): _whole_response,
}
"""What each client gets, streamed and whole."""
CLIENT_DIALECTS = (CHAT, MESSAGES, RESPONSES)
