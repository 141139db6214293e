"""We say to a vendor what the vendor's own SDK says: addresses, credentials, versions and bodies, recorded on the wire.

The SDKs are the yardstick and no part of a pod: docs/decisions/0400-vendor-sdks-only-in-tests.md tells why.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from anthropic import AsyncAnthropic
from anthropic.types import MessageParam
from openai import AsyncAzureOpenAI, AsyncOpenAI, Omit
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from openai.types.responses import FunctionToolParam, ResponseCompletedEvent, ResponseInputParam

from chatfleet_api.domain.request import ChatRequest, Function, ImagePart, ImageURL, Message, MessageToolCall, TextPart
from chatfleet_api.providers.provider import Finish
from chatfleet_contract.spec.providers import Model
from harness.upstream.catalogue import Outcome, ask, catalogue_of, config_of, key_file, provider_of
from harness.upstream.fake import FakeUpstream, Request, fake_upstream
from harness.upstream.wires import (
    AZURE,
    AZURE_V1,
    WORDS,
    AnthropicWire,
    OpenAIWire,
    ResponsesWire,
    Wire,
    answering,
    refusing,
    whole,
)

KEY = "k-123"
MODEL = "family/model:2@x"
"""A name with all that the contract allows in one."""
COMPARED = ("authorization", "api-key", "x-api-key", "anthropic-version", "content-type", "accept")
OPENAI = OpenAIWire()
RESPONSES = ResponsesWire()
ANTHROPIC = AnthropicWire()
EMPTY_LIST = b'{"object":"list","data":[],"has_more":false}'

PICTURE = "data:image/png;base64,iVBORw0KGgo="
TOOL: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "weather", "description": "Tells it.", "parameters": {"type": "object", "properties": {}}},
}
REQUEST = ChatRequest(
    "default",
    (
        Message("system", "Be brief."),
        Message("user", [TextPart("What is this?"), ImagePart(ImageURL(PICTURE))]),
        Message("assistant", tool_calls=[MessageToolCall("call_1", Function("weather", '{"city":"Ulm"}'))]),
        Message("tool", "Rain.", tool_call_id="call_1"),
    ),
    max_tokens=100,
    stop=("END",),
    tools=({**TOOL},),
    tool_choice="required",
    parallel_tool_calls=False,
    user="u-1",
)
OPENAI_MESSAGES: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": "Be brief."},
    {
        "role": "user",
        "content": [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": PICTURE}}],
    },
    {
        "role": "assistant",
        "tool_calls": [
            {"type": "function", "id": "call_1", "function": {"name": "weather", "arguments": '{"city":"Ulm"}'}}
        ],
    },
    {"role": "tool", "content": "Rain.", "tool_call_id": "call_1"},
]
RESPONSES_INPUT: ResponseInputParam = [
    {"type": "message", "role": "system", "content": "Be brief."},
    {
        "type": "message",
        "role": "user",
        "content": [
            {"type": "input_text", "text": "What is this?"},
            {"type": "input_image", "image_url": PICTURE, "detail": "auto"},
        ],
    },
    {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city":"Ulm"}'},
    {"type": "function_call_output", "call_id": "call_1", "output": "Rain."},
]
ANTHROPIC_MESSAGES: list[MessageParam] = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
        ],
    },
    {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Ulm"}}],
    },
    {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": "text", "text": "Rain."}]}],
    },
]


def compared(request: Request) -> tuple[str, str, Mapping[str, str]]:
    headers = {name: value for name, value in request.headers.items() if name in COMPARED}
    return request.method, request.path, headers


async def ours(wire: Wire, upstream: FakeUpstream, folder: Path, request: ChatRequest = REQUEST) -> Outcome:
    provider = provider_of(wire, upstream.url, apiKeyFile=key_file(folder, KEY))
    model = Model(name="default", provider="up", model=MODEL)
    async with catalogue_of(config_of(provider, models=[model])) as catalogue:
        return await ask(catalogue.provider("default"), request)


def openai_client(wire: Wire, url: str) -> AsyncOpenAI:
    if wire is AZURE:
        return AsyncAzureOpenAI(azure_endpoint=url, api_version="2024-10-21", api_key=KEY, max_retries=0)
    return AsyncOpenAI(base_url=url + wire.base_path, api_key=KEY, max_retries=0)


@pytest.mark.parametrize("wire", [OPENAI, AZURE], ids=lambda wire: wire.type)
async def test_openai_is_asked_and_understood_as_its_sdk_does(wire: Wire, tmp_path: Path) -> None:
    async with fake_upstream(answering(wire)) as upstream, openai_client(wire, upstream.url) as client:
        stream = await client.chat.completions.create(
            model=MODEL,
            messages=OPENAI_MESSAGES,
            max_completion_tokens=100,
            stop=["END"],
            tools=[TOOL],
            tool_choice="required",
            parallel_tool_calls=False,
            user="u-1",
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
        outcome = await ours(wire, upstream, tmp_path)
        theirs, mine = upstream.requests
    assert compared(mine) == compared(theirs)
    assert mine.json == theirs.json
    assert outcome.text == "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    finish, usage = outcome.pieces[-1], chunks[-1].usage
    assert isinstance(finish, Finish)
    assert usage is not None
    assert finish.reason == chunks[-2].choices[0].finish_reason
    assert (finish.usage.input_tokens, finish.usage.output_tokens) == (usage.prompt_tokens, usage.completion_tokens)


async def test_the_responses_api_is_asked_and_understood_as_its_sdk_does(tmp_path: Path) -> None:
    request = msgspec.structs.replace(REQUEST, stop=())
    function: FunctionToolParam = {
        "type": "function",
        "name": "weather",
        "description": "Tells it.",
        "parameters": {"type": "object", "properties": {}},
        "strict": False,
    }
    async with fake_upstream(answering(RESPONSES)) as upstream, openai_client(RESPONSES, upstream.url) as client:
        stream = await client.responses.create(
            model=MODEL,
            input=RESPONSES_INPUT,
            max_output_tokens=100,
            tools=[function],
            tool_choice="required",
            parallel_tool_calls=False,
            user="u-1",
            store=False,
            stream=True,
        )
        events = [event async for event in stream]
        outcome = await ours(RESPONSES, upstream, tmp_path, request)
        theirs, mine = upstream.requests
    assert compared(mine) == compared(theirs)
    assert mine.json == theirs.json
    last, finish = events[-1], outcome.pieces[-1]
    assert isinstance(last, ResponseCompletedEvent)
    assert last.response.usage is not None
    assert isinstance(finish, Finish)
    assert outcome.text == last.response.output_text == "".join(WORDS)
    assert finish.usage.input_tokens == last.response.usage.input_tokens
    assert finish.usage.output_tokens == last.response.usage.output_tokens


async def test_anthropic_is_asked_and_understood_as_its_sdk_does(tmp_path: Path) -> None:
    async with (
        fake_upstream(answering(ANTHROPIC)) as upstream,
        AsyncAnthropic(base_url=upstream.url + ANTHROPIC.base_path, api_key=KEY, max_retries=0) as client,
    ):
        async with client.messages.stream(
            model=MODEL,
            system="Be brief.",
            messages=ANTHROPIC_MESSAGES,
            max_tokens=100,
            stop_sequences=["END"],
            tools=[
                {"name": "weather", "description": "Tells it.", "input_schema": {"type": "object", "properties": {}}}
            ],
            tool_choice={"type": "any", "disable_parallel_tool_use": True},
            metadata={"user_id": "u-1"},
        ) as stream:
            message = await stream.get_final_message()
        outcome = await ours(ANTHROPIC, upstream, tmp_path)
        theirs, mine = upstream.requests
    assert compared(mine) == compared(theirs)
    assert mine.json == theirs.json
    assert [outcome.text] == [block.text for block in message.content if block.type == "text"]
    finish = outcome.pieces[-1]
    assert isinstance(finish, Finish)
    assert (message.stop_reason, finish.reason) == ("end_turn", "stop")
    assert finish.usage.input_tokens == message.usage.input_tokens
    assert finish.usage.output_tokens == message.usage.output_tokens


@pytest.mark.parametrize("path", ["", "/openai/v1", "/openai/v1/"])
async def test_azures_v1_api_is_asked_as_by_the_sdk_with_azures_header(path: str, tmp_path: Path) -> None:
    key_in_azures_header = {"Authorization": Omit()}
    async with (
        fake_upstream(refusing(200, EMPTY_LIST)) as upstream,
        AsyncOpenAI(
            base_url=upstream.url + AZURE_V1.base_path,
            api_key=KEY,
            default_headers={"api-key": KEY},
            max_retries=0,
        ) as client,
    ):
        await client.models.list(extra_headers=key_in_azures_header)
        await checked(replace(AZURE_V1, base_path=path), upstream, tmp_path)
        assert same_question(upstream)
        upstream.requests.clear()
        upstream.answers(answering(AZURE_V1))
        stream = await client.chat.completions.create(
            model=MODEL, messages=OPENAI_MESSAGES, stream=True, extra_headers=key_in_azures_header
        )
        assert len([chunk async for chunk in stream]) == len(whole(AZURE_V1)) - 1
        outcome = await ours(replace(AZURE_V1, base_path=path), upstream, tmp_path)
        assert outcome.error is None
        assert same_question(upstream)
        assert upstream.requests[1].json["model"] == MODEL


async def checked(wire: Wire, upstream: FakeUpstream, folder: Path) -> None:
    provider = provider_of(wire, upstream.url, apiKeyFile=key_file(folder, KEY))
    async with catalogue_of(config_of(provider)) as catalogue:
        await catalogue.check()


def same_question(upstream: FakeUpstream) -> bool:
    theirs, mine = (compared(request) for request in upstream.requests)
    return mine == theirs


@pytest.mark.parametrize("wire", [OPENAI, AZURE], ids=lambda wire: wire.type)
async def test_openai_is_checked_by_the_sdks_list_of_models(wire: Wire, tmp_path: Path) -> None:
    async with fake_upstream(refusing(200, EMPTY_LIST)) as upstream, openai_client(wire, upstream.url) as client:
        await client.models.list()
        await checked(wire, upstream, tmp_path)
        assert same_question(upstream)


async def test_anthropic_is_checked_by_the_sdks_list_of_models(tmp_path: Path) -> None:
    async with (
        fake_upstream(refusing(200, EMPTY_LIST)) as upstream,
        AsyncAnthropic(base_url=upstream.url + ANTHROPIC.base_path, api_key=KEY, max_retries=0) as client,
    ):
        await client.models.list()
        await checked(ANTHROPIC, upstream, tmp_path)
        assert same_question(upstream)


async def test_anthropics_root_may_be_given_with_its_version_or_without(tmp_path: Path) -> None:
    for path in ("", "/v1", "/v1/"):
        async with fake_upstream(answering(ANTHROPIC)) as upstream:
            await ours(AnthropicWire(base_path=path), upstream, tmp_path)
            assert upstream.requests[0].path == "/v1/messages"
