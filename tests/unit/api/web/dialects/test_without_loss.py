"""Every field of the SDKs' own types, to every vendor and back: it is at the other end, or refused by name."""

import importlib
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import typing_extensions
from anthropic.types import Message as AnthropicMessage
from anthropic.types import RawMessageStreamEvent
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Complete, Start
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.provider import Finish, StreamItem
from chatfleet_api.providers.vendor import Vendor
from chatfleet_api.providers.vendors.table import ANTHROPIC, AZURE_OPENAI, OPENAI, OPENAI_COMPATIBLE
from chatfleet_api.runs.tail import Batch
from chatfleet_api.web.collect import collect
from chatfleet_api.web.dialects.messages.encode import MessageEncoder
from chatfleet_api.web.dialects.messages.message import collected
from chatfleet_api.web.dialects.openai.encode import ChunkEncoder, completion_body
from chatfleet_api.web.own_names import in_own_names
from chatfleet_contract.spec.providers import Compatibility
from harness.clients.asgi import each
from harness.conformance.dialects import CHAT, MESSAGES, Dialect, compared, without
from harness.conformance.requests import complete
from harness.sdk_samples import Samples, texts_in


def sent_by(dialect: Dialect) -> Iterator[Any]:
    """Yield a request with each value of each field, one at a time; messages and tools are many."""
    samples = Samples()
    for kind in dialect.types:
        module = vars(importlib.import_module(kind.__module__))
        for name, hint in typing_extensions.get_type_hints(kind, module).items():
            if name in dialect.ours or name == "betas":  # the SDK's own name for a header
                continue
            for number, value in enumerate(samples.of(hint)):
                yield pytest.param({**dialect.least, name: value}, name, id=f"{kind.__module__}-{name}-{number}")


REQUESTS = [
    pytest.param(dialect, *request.values, id=request.id)
    for dialect in (CHAT, MESSAGES)
    for request in sent_by(dialect)
]


def test_the_vendors_of_a_dialect_are_found_by_what_reaches_them() -> None:
    assert all(CHAT.speaks(vendor) for vendor in (OPENAI, AZURE_OPENAI, OPENAI_COMPATIBLE))
    assert not CHAT.speaks(ANTHROPIC)
    assert MESSAGES.own == (ANTHROPIC,)


@pytest.mark.parametrize(("dialect", "body", "name"), REQUESTS)
def test_each_field_of_a_request_arrives_or_is_refused_by_name(
    dialect: Dialect, body: dict[str, Any], name: str
) -> None:
    body = complete(dialect, body)
    request = dialect.read(json.dumps(body).encode())
    for vendor in dialect.own:
        arrived = json.loads(vendor.body(request, Compatibility()))
        expected = compared(dialect, vendor, body)
        assert {field: value for field, value in arrived.items() if field not in dialect.ours} == expected
    for vendor in dialect.others:
        arrived, error = outcome(vendor, request)
        if error is None:
            lost = set(texts_in(without(body, dialect.harmless))) - texts_of(arrived)
            assert not lost, (vendor.path(request), arrived)
            continue
        error = in_own_names(error, dialect.names)
        assert error.code is Code.INVALID_REQUEST
        assert (error.param or "").startswith(("messages", "system") if name == "messages" else name), error
        assert f"'{error.param}'" in error.message or "must be a JSON object" in error.message


def outcome(vendor: Vendor, request: ChatRequest) -> tuple[Any, ChatError | None]:
    """Return what a vendor gets, or why not."""
    try:
        return json.loads(vendor.body(request, Compatibility())), None
    except ChatError as error:
        return None, error


def texts_of(arrived: Any) -> set[str]:  # noqa: ANN401  # any JSON value
    """Return the unique texts that stand within longer ones."""
    return set(re.findall(r"s\d{6}", json.dumps(arrived)))


def events_of(items: list[StreamItem]) -> list[Any]:
    *pieces, finish = items
    assert isinstance(finish, Finish)
    return [Start("r", "m", 1), *pieces, Complete(finish.reason, finish.usage, extra=finish.extra)]


def parsed(vendor: Vendor, request: ChatRequest, payloads: list[bytes]) -> list[StreamItem]:
    parser, items = vendor.parser(request), list[StreamItem]()
    for payload in payloads:
        parser.read(payload, items)
    if not parser.done:
        items.append(parser.end())
    return items


def lost_in(sent: Any, ours: frozenset[str], body: bytes) -> set[str]:  # noqa: ANN401  # any JSON value
    return set(texts_in(without(sent, ours))) - texts_of(json.loads(body) if body[:1] == b"{" else body.decode())


CHAT_REQUEST = CHAT.read(json.dumps(CHAT.least | {"functions": [{"name": "f"}]}).encode())
MESSAGES_REQUEST = MESSAGES.read(json.dumps(MESSAGES.least).encode())
OURS = frozenset({"id", "model", "object"})


@pytest.mark.parametrize("sample", Samples().of(ChatCompletionChunk))
def test_each_field_of_a_chunk_reaches_the_client(sample: dict[str, Any]) -> None:
    choice = {**sample["choices"][0], "index": 0, "finish_reason": None}
    chunk = {**sample, "choices": [choice]}
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    items = parsed(OPENAI, CHAT_REQUEST, [json.dumps(payload).encode() for payload in (chunk, end)])
    frames = ChunkEncoder(include_usage=True).encode(Batch(1, tuple(events_of(items))))
    kept = {name: value for name, value in chunk.items() if name not in OURS}
    assert not lost_in(kept, frozenset({"obfuscation"}), frames)


@pytest.mark.parametrize("sample", Samples().of(ChatCompletion))
async def test_each_field_of_a_completion_reaches_the_client(sample: dict[str, Any]) -> None:
    completion = {**sample, "choices": [{**sample["choices"][0], "index": 0, "finish_reason": "stop"}]}
    assert OPENAI.events_of
    items = parsed(OPENAI, CHAT_REQUEST, OPENAI.events_of(json.dumps(completion).encode()))
    answer = await collect(each(Batch(1, tuple(events_of(items)))))
    kept = {name: value for name, value in completion.items() if name not in OURS}
    assert not lost_in(kept, frozenset(), completion_body(answer, None))


START = {"type": "message_start", "message": {"usage": {"input_tokens": 1}}}
END = [
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
    {"type": "message_stop"},
]


@pytest.mark.parametrize("sample", Samples().of(RawMessageStreamEvent))
def test_each_field_of_an_event_of_a_message_reaches_the_client(sample: dict[str, Any]) -> None:
    if sample["type"] == "message_delta":
        sample = {**sample, "delta": {**sample["delta"], "stop_reason": "refusal"}}
    first = [] if sample["type"] == "message_start" else [START]
    opened = {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t", "name": "f"}}
    before = [opened, {**opened, "index": 1}] if sample["type"] == "content_block_delta" else []
    last = END[1:] if sample["type"] == "message_delta" else END
    ends = [] if sample["type"] == "message_stop" else [sample]
    payloads = [json.dumps(event).encode() for event in (*first, *before, *ends, *last)]
    items = parsed(ANTHROPIC, MESSAGES_REQUEST, payloads)
    frames = MessageEncoder("q1").encode(Batch(1, tuple(events_of(items))))
    if isinstance(message := sample.get("message"), dict):
        sample = {**sample, "message": {name: value for name, value in message.items() if name not in OURS}}
    assert not lost_in(sample, frozenset(), frames)


@pytest.mark.parametrize("sample", Samples().of(AnthropicMessage))
async def test_each_field_of_a_message_reaches_the_client(sample: dict[str, Any]) -> None:
    message = {**sample, "stop_reason": "refusal"}
    assert ANTHROPIC.events_of
    items = parsed(ANTHROPIC, MESSAGES_REQUEST, ANTHROPIC.events_of(json.dumps(message).encode()))
    body = await collected(each(Batch(1, tuple(events_of(items)))))
    kept = {name: value for name, value in message.items() if name not in OURS}
    assert not lost_in(kept, frozenset(), body)
