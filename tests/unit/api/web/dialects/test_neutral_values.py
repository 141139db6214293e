"""A request may set a parameter to `null` or to its default: what the vendor's own SDK documents, each is accepted."""

import ast
import inspect
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import msgspec
import pytest
from openai.types.chat import (
    chat_completion_assistant_message_param,
    chat_completion_content_part_image_param,
    chat_completion_developer_message_param,
    chat_completion_stream_options_param,
    chat_completion_system_message_param,
    chat_completion_user_message_param,
    completion_create_params,
)
from openai.types.responses import easy_input_message_param, response_create_params, response_text_config_param
from openai.types.shared_params import function_definition, reasoning, response_format_json_schema

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.providers.own_dialect import require_translated
from chatfleet_api.web.dialects.native.request import (
    NewConversationBody,
    SendMessageBody,
    read_message,
    read_new_conversation,
)
from chatfleet_api.web.dialects.openai.request import read_completion
from chatfleet_api.web.dialects.responses.request import read_response


class Type(NamedTuple):
    """A type of a vendor's requests, and where its fields stand in a body."""

    module: ModuleType
    name: str
    within: str | None = None


class Dialect(NamedTuple):
    """How a dialect is read, a smallest body, and the vendor's types of a request."""

    read: Callable[[bytes], object]
    least: dict[str, Any]
    types: tuple[Type, ...]


def read_chat(raw: bytes) -> object:
    """Return what upstreams of all dialects get; raise what one of another dialect refuses."""
    completion = read_completion(raw)
    require_translated(completion.request)
    return completion._replace(request=msgspec.structs.replace(completion.request, sent=None))


CHAT = Dialect(
    read_chat,
    {"model": "m", "messages": [{"role": "user", "content": "Hi"}]},
    (Type(completion_create_params, "CompletionCreateParamsBase"),),
)


def read_meaning(raw: bytes) -> object:
    """Return a response as upstreams of all dialects get it, without what is kept as it came."""
    read = read_response(raw)
    require_translated(read.new.request)
    items = tuple(item._replace(item="") for item in read.new.items)
    request = msgspec.structs.replace(read.new.request, sent=None)
    return read._replace(new=read.new._replace(items=items, request=request))


RESPONSES = Dialect(
    read_meaning,
    {"model": "m", "input": "Hi"},
    (
        Type(response_create_params, "ResponseCreateParamsBase"),
        Type(response_create_params, "StreamOptions", "stream_options"),
        Type(response_create_params, "Image", "image"),
        Type(response_create_params, "PromptCacheOptions", "prompt_cache_options"),
        Type(response_text_config_param, "ResponseTextConfigParam", "text"),
        Type(reasoning, "Reasoning", "reasoning"),
    ),
)
MESSAGES: list[tuple[Type, dict[str, Any]]] = [
    (
        Type(chat_completion_assistant_message_param, "ChatCompletionAssistantMessageParam"),
        {"role": "assistant", "content": "Hi"},
    ),
    (Type(chat_completion_user_message_param, "ChatCompletionUserMessageParam"), {"role": "user", "content": "Hi"}),
    (
        Type(chat_completion_system_message_param, "ChatCompletionSystemMessageParam"),
        {"role": "system", "content": "Hi"},
    ),
    (
        Type(chat_completion_developer_message_param, "ChatCompletionDeveloperMessageParam"),
        {"role": "developer", "content": "Hi"},
    ),
]
DEFAULT = re.compile(
    r"(?:[Dd]efaults to|[Tt]he default is|default behavior is|default format is|which is the default:) "
    r"(?P<after>`[^`]+`|'\w+'|true|false)"
    r"|`(?P<before>\w+)` (?:is the default|\(default\)|\(the default\))"
)
NO_DEFAULT = {"prompt_cache_retention"}
"""The vendor's default depends on the caller's organization."""
REQUESTED_ANYWAY: list[tuple[Dialect, dict[str, Any]]] = [
    (CHAT, {"n": 1}),
    (CHAT, {"top_logprobs": 0, "logprobs": False}),
    (CHAT, {"functions": []}),
    (CHAT, {"tools": [], "parallel_tool_calls": True}),
    (CHAT, {"response_format": {"type": "text"}}),
    (CHAT, {"stream": False, "stream_options": {}}),
    (CHAT, {"stream": False, "stream_options": {"include_usage": False, "include_obfuscation": False}}),
    (CHAT, {"stream": True, "stream_options": {"include_usage": None, "include_obfuscation": None}}),
    (RESPONSES, {"text": {}}),
    (RESPONSES, {"text": {"format": {"type": "text"}, "verbosity": "medium"}}),
    (RESPONSES, {"reasoning": {"effort": None, "summary": None, "mode": "standard", "context": "auto"}}),
    (RESPONSES, {"top_logprobs": 0}),
    (RESPONSES, {"stream": True, "stream_options": {"include_obfuscation": False}}),
    (RESPONSES, {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True, "max_tool_calls": 3}),
    (RESPONSES, {"include": [], "metadata": {}, "context_management": []}),
    (RESPONSES, {"client_metadata": {"session_id": "s"}}),
    (RESPONSES, {"truncation": "disabled", "service_tier": "default", "background": False, "store": True}),
    (RESPONSES, {"input": [{"role": "user", "content": "Hi", "type": None, "phase": None, "status": None}]}),
]


def fields(of: Type) -> Iterator[tuple[str, str]]:
    """Yield the fields of a type, each with what the SDK documents about it."""
    tree = ast.parse(Path(inspect.getfile(of.module)).read_text())
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == of.name)
    for node, after in zip(body, [*body[1:], ast.Pass()], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            text = after.value if isinstance(after, ast.Expr) else None
            words = text.value if isinstance(text, ast.Constant) and isinstance(text.value, str) else ""
            yield node.target.id, " ".join(words.split())


def value(text: str) -> Any:  # noqa: ANN401  # any JSON
    bare = text.strip("`'")
    return json.loads(bare) if bare[:1] in "[{" or bare in {"true", "false"} else bare


def nulls() -> Iterator[Any]:
    for name, dialect in (("chat", CHAT), ("responses", RESPONSES)):
        for of in dialect.types:
            for field, _ in fields(of):
                if field not in dialect.least:
                    sent = {of.within: {field: None}} if of.within else {field: None}
                    yield pytest.param(dialect, sent, id=f"{name}:{'.'.join(filter(None, (of.within, field)))}")


def defaults() -> Iterator[Any]:
    for name, dialect in (("chat", CHAT), ("responses", RESPONSES)):
        for of in dialect.types:
            for field, words in fields(of):
                for found in DEFAULT.finditer(words) if field not in NO_DEFAULT else ():
                    default = value(found["after"] or found["before"])
                    sent = {of.within: {field: default}} if of.within else {field: default}
                    yield pytest.param(dialect, sent, id=f"{name}:{json.dumps(sent)}")


@pytest.mark.parametrize(("dialect", "sent"), list(nulls()))
def test_each_parameter_of_the_vendor_may_be_null(dialect: Dialect, sent: dict[str, Any]) -> None:
    assert dialect.read(json.dumps(dialect.least | sent).encode()) == dialect.read(json.dumps(dialect.least).encode())


@pytest.mark.parametrize(
    ("dialect", "of", "least", "placed"),
    [
        *((CHAT, of, least, lambda it: {"messages": [it]}) for of, least in MESSAGES),
        (
            CHAT,
            Type(chat_completion_content_part_image_param, "ImageURL"),
            {"url": "https://example.com/a.png"},
            lambda it: {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": it}]}]},
        ),
        (
            CHAT,
            Type(function_definition, "FunctionDefinition"),
            {"name": "f"},
            lambda it: {"tools": [{"type": "function", "function": it}]},
        ),
        (
            CHAT,
            Type(response_format_json_schema, "JSONSchema"),
            {"name": "f"},
            lambda it: {"response_format": {"type": "json_schema", "json_schema": it}},
        ),
        (
            CHAT,
            Type(chat_completion_stream_options_param, "ChatCompletionStreamOptionsParam"),
            {},
            lambda it: {"stream": True, "stream_options": it},
        ),
        (
            RESPONSES,
            Type(easy_input_message_param, "EasyInputMessageParam"),
            {"role": "user", "content": "Hi"},
            lambda it: {"input": [it]},
        ),
    ],
)
def test_each_field_of_a_nested_object_may_be_null(
    dialect: Dialect, of: Type, least: dict[str, Any], placed: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    empty = dict.fromkeys(field for field, _ in fields(of)) | least
    with_nulls, without = (json.dumps(dialect.least | placed(each)).encode() for each in (empty, least))
    assert dialect.read(with_nulls) == dialect.read(without)


@pytest.mark.parametrize(("dialect", "sent"), list(defaults()))
def test_each_default_that_the_vendor_documents_is_accepted(dialect: Dialect, sent: dict[str, Any]) -> None:
    dialect.read(json.dumps(dialect.least | sent).encode())


def test_the_vendors_documentation_is_read() -> None:
    found = [json.dumps(each.values[1]) for each in defaults()]
    for known in (
        {"verbosity": "medium"},
        {"service_tier": "auto"},
        {"truncation": "disabled"},
        {"store": True},
        {"tool_choice": "none"},
        {"modalities": ["text"]},
        {"text": {"format": {"type": "text"}}},
    ):
        assert json.dumps(known) in found


@pytest.mark.parametrize(("dialect", "sent"), REQUESTED_ANYWAY)
def test_what_is_done_anyway_may_be_requested(dialect: Dialect, sent: dict[str, Any]) -> None:
    dialect.read(json.dumps(dialect.least | sent).encode())


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        ({"text": {"verbosity": "low"}}, "text.verbosity"),
        ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
        ({"include": ["reasoning.encrypted_content", "web_search_call.results"]}, "include[1]"),
        ({"include": ["message.input_image.image_url", "colour"]}, "include[1]"),
        ({"stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"tools": [{"type": "web_search"}]}, "tools[0]"),
        ({"tools": [{"type": "function", "name": "f", "defer_loading": True}]}, "tools[0].defer_loading"),
        ({"tool_choice": {"type": "file_search"}}, "tool_choice"),
        ({"input": [{"type": "web_search_call", "id": "ws_1"}]}, "input[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}, "input[0].content[0]"),
        ({"input": [{"role": "user", "content": "Hi", "of_next_year": 1}]}, "input[0].of_next_year"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"truncation": "middle"}, "truncation"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"colour": 1}, "colour"),
        ({"text": {"format": {"type": "xml"}}}, "text.format"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
    ],
)
def test_what_changes_a_response_and_is_not_supported_is_rejected_by_name(sent: dict[str, Any], param: str) -> None:
    with pytest.raises(ChatError) as caught:
        RESPONSES.read(json.dumps(RESPONSES.least | sent).encode())
    assert (caught.value.code, caught.value.param) == (Code.INVALID_REQUEST, param)
    assert f"'{param}'" in caught.value.message


NULL_IS_A_VALUE = {"parent_id"}
"""Fields whose null is not the same as their absence: a message that follows none is a first one."""


@pytest.mark.parametrize(
    ("read", "least", "body"),
    [
        (read_message, {"content": "Hi"}, SendMessageBody),
        (read_new_conversation, {}, NewConversationBody),
    ],
)
def test_each_optional_field_of_our_own_dialect_may_be_null(
    read: Callable[[bytes], object], least: dict[str, Any], body: type[msgspec.Struct]
) -> None:
    sent = dict.fromkeys({*body.__struct_fields__} - NULL_IS_A_VALUE) | least
    assert read(json.dumps(sent).encode()) == read(json.dumps(least).encode())
