"""The dialects of clients, as a probe of them needs it: their SDKs' types, parsers, and what is known to be no loss."""

import random
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from anthropic.types import message_create_params
from anthropic.types.beta import message_create_params as beta_params
from msgspec.structs import replace
from openai.types.chat import completion_create_params
from openai.types.responses import response_create_params

from chatfleet_api.chat.history import continued
from chatfleet_api.domain.errors import ChatError
from chatfleet_api.domain.principal import Principal
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.http.pool import ConnectionPool
from chatfleet_api.providers.environment import Environment
from chatfleet_api.providers.vendor import Vendor
from chatfleet_api.providers.vendors import table
from chatfleet_api.providers.vendors.bedrock.vendor import bedrock
from chatfleet_api.providers.vendors.responses.as_sent import ENCRYPTED, STATE
from chatfleet_api.sessions.memory import MemorySessionStore
from chatfleet_api.web.dialects.messages import errors as messages_errors
from chatfleet_api.web.dialects.messages.request import WITH_SAMPLING, read_message
from chatfleet_api.web.dialects.openai.request import read_completion
from chatfleet_api.web.dialects.responses import errors as responses_errors
from chatfleet_api.web.dialects.responses.references import resolved
from chatfleet_api.web.dialects.responses.request import read_response
from chatfleet_contract.runtime import RuntimeProvider
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Compatibility
from harness.conformance.outcomes import run
from harness.pods.runs import FakeProvider, conversations, make_chat
from harness.upstream.catalogue import AWS, RecordingMeter

HI: dict[str, Any] = {"role": "user", "content": "Hi there"}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
USE = {"type": "tool_use", "id": "c", "name": "f", "input": {}}

OF_EARLIER_ANSWERS = {"thinking", "redacted_thinking", "clear_thinking_20251015"}
"""Blocks that belong to their own vendor, and what edits them: other vendors do not get them."""


class Parsed(NamedTuple):
    """A request as a dialect reads it."""

    request: ChatRequest
    """What a vendor gets."""
    kept: Any
    """What the pod itself acts on."""


class Dialect(NamedTuple):
    """A vendor's API that clients speak."""

    name: str
    parse: Callable[[bytes], Parsed]
    least: dict[str, Any]
    types: tuple[Any, ...]
    """Of requests; what a later one repeats is left out."""
    ours: frozenset[str]
    """Fields that are the pod's."""
    harmless: frozenset[str]
    """Fields, at any depth, that change no answer elsewhere: hints, labels, and parts of earlier answers."""

    tool: dict[str, Any] | None
    """What `tool_choice` and the like are about; None: there are no tools."""
    names: Sequence[tuple[str, str]] = ()
    """Fields of the common terms that errors of vendors name, and those of this API."""

    def read(self, raw: bytes) -> ChatRequest:
        return self.parse(raw).request

    def speaks(self, vendor: Vendor) -> bool:
        """Return whether the vendor's API is the client's: then a field that nobody knows reaches it."""
        try:
            request = self.read(msgspec.json.encode({**self.least, "unknown_to_all": "s000000"}))
            return b"s000000" in vendor.body(request, Compatibility())
        except ChatError:
            return False

    @property
    def own(self) -> tuple[Vendor, ...]:
        return tuple(vendor for vendor in VENDORS.values() if self.speaks(vendor))

    @property
    def others(self) -> tuple[Vendor, ...]:
        return tuple(vendor for vendor in VENDORS.values() if not self.speaks(vendor))


def _of_bedrock(endpoint: str) -> Vendor:
    """Return a row that depends on the settings of its provider."""
    settings = {"name": "up", "type": ProviderType.BEDROCK, "bedrock": {"region": "eu-west-1", "endpoint": endpoint}}
    environment = Environment(ConnectionPool(), RecordingMeter(), time.monotonic, random.random, environ=AWS)
    return bedrock(RuntimeProvider.model_validate(settings), environment)


VENDORS: dict[str, Vendor] = {
    **{name: each for name, each in vars(table).items() if isinstance(each, Vendor)},
    **{f"BEDROCK_{endpoint.upper()}": _of_bedrock(endpoint) for endpoint in ("converse", "mantle")},
}
"""Every API over HTTP in the table of vendors."""


def _completion(raw: bytes) -> Parsed:
    asked = read_completion(raw)
    return Parsed(asked.request, (asked.request.model, asked.stream, asked.include_usage, asked.metadata))


def _message(raw: bytes) -> Parsed:
    asked = read_message(raw, WITH_SAMPLING, None)
    return Parsed(asked.request, (asked.request.model, asked.stream))


_NOTHING_STORED: Final = make_chat(
    FakeProvider(), sessions=MemorySessionStore(conversations(), clock=lambda: 0.0)
).responses
"""Where references to items are looked up."""


def _response(raw: bytes) -> Parsed:
    asked = read_response(run(resolved(raw, Principal(), _NOTHING_STORED)))
    new = asked.new
    items = tuple(item.item for item in new.items)
    kept = (new.request.model, items, new.echo, new.store, new.previous, new.conversation, asked[1:])
    return Parsed(continued((), replace(new.request, messages=new.messages), new.instructions), kept)


CHAT = Dialect(
    "chat",
    _completion,
    {"model": "m", "messages": [HI], "stream": True},
    (completion_create_params.CompletionCreateParamsStreaming,),
    frozenset({"model", "stream", "stream_options"}),
    frozenset(
        {
            *("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "prompt_cache_breakpoint"),
            *("metadata", "seed", "presence_penalty", "frequency_penalty", "name", "description"),
            *("user", "safety_identifier"),
        }
    ),
    {"type": "function", "function": {"name": "f"}},
)
MESSAGES = Dialect(
    "messages",
    _message,
    {"model": "m", "messages": [HI], "max_tokens": 9, "stream": True},
    (message_create_params.MessageCreateParamsStreaming, beta_params.MessageCreateParamsStreaming),
    frozenset({"model", "stream"}),
    frozenset(
        {
            *("cache_control", "citations", "caller", "eager_input_streaming"),
            *("display", "block_binding", "service_tier", "defer_loading"),
            "user_id",
        }
    ),
    {"name": "f", "input_schema": {"type": "object"}},
    messages_errors.NAMES,
)
RESPONSES = Dialect(
    "responses",
    _response,
    {"model": "m", "input": "Hi there", "stream": True},
    (response_create_params.ResponseCreateParamsStreaming,),
    frozenset({"model", "stream", "stream_options", *STATE}),
    frozenset(
        {"prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "prompt_cache_breakpoint"}
        | {"context", "user", "safety_identifier"}
    ),
    {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": None},
    responses_errors.NAMES,
)
DIALECTS = (CHAT, MESSAGES, RESPONSES)


def with_results(body: dict[str, Any]) -> dict[str, Any]:
    """Return `body` with the call before a result, and the result after a call, which vendors demand."""
    if not isinstance(messages := body.get("messages"), list):
        return body
    (*_, last) = messages
    if last["role"] == "tool":
        called = {"role": "assistant", "tool_calls": [{**CALL, "id": last["tool_call_id"]}]}
        return {**body, "messages": [called, last]}
    blocks = last["content"] if isinstance(last.get("content"), list) and last["role"] == "user" else []
    used = [{**USE, "id": block["tool_use_id"]} for block in blocks if block.get("type") == "tool_result"]
    return {**body, "messages": [{"role": "assistant", "content": used}, last]} if used else body


def compared(dialect: Dialect, vendor: Vendor, body: dict[str, Any]) -> dict[str, Any]:
    """Return what a vendor of the client's dialect has to get of a request."""
    fields = {name: value for name, value in body.items() if name not in dialect.ours}
    if dialect is RESPONSES and fields.get("reasoning") is not None:  # the upstream stores none of it
        included = fields.get("include") or []
        fields["include"] = included if ENCRYPTED in included else [*included, ENCRYPTED]
    if vendor.body is table.OPENAI_COMPATIBLE.body:
        roles = {"developer": "system"}
        messages = fields["messages"]
        fields["messages"] = [message | {"role": roles.get(message["role"], message["role"])} for message in messages]
        if "max_completion_tokens" in fields:
            fields["max_tokens"] = fields["max_completion_tokens"]
    return fields


def without(value: Any, names: frozenset[str]) -> Any:  # noqa: ANN401  # any JSON value
    """Return the value without the fields of these names, at any depth."""
    if isinstance(value, dict):
        if value.get("type") in OF_EARLIER_ANSWERS and names:
            return {}
        return {name: without(inner, names) for name, inner in value.items() if name not in names}
    return [without(inner, names) for inner in value] if isinstance(value, list) else value


def with_demanded(value: Any) -> Any:  # noqa: ANN401  # any JSON value
    """Return items with what the vendor demands of them beyond the types of its SDK."""
    if isinstance(value, list):
        return [with_demanded(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    fields = {name: with_demanded(inner) for name, inner in value.items()}
    if fields.get("type") == "input_image" and not fields.keys() & {"image_url", "file_id"}:
        return {**fields, "image_url": "https://images.example/a.png"}
    if fields.get("type") == "function_call_output":
        return {"call_id": "c", **fields}
    return fields
