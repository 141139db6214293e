"""Somebody else's upstream, with faults of its own making and a verdict of its own on how we took them."""

import pytest
from llmock.pytest_plugin import LLMock

from chatfleet_api.domain.errors import Code
from chatfleet_api.domain.events import ToolCall
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.providers.provider import Finish
from chatfleet_contract.report import State
from chatfleet_contract.runtime import RuntimeConfig
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Compatibility
from harness.upstream.catalogue import RecordingMeter, ask, catalogue_of, config_of, provider_of
from harness.upstream.wires import AnthropicWire, OpenAIWire, Wire

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
WIRES = (OpenAIWire(), OpenAIWire("compatible", ProviderType.OPENAI_COMPATIBLE), AnthropicWire())


@pytest.fixture(params=WIRES, ids=lambda wire: wire.type)
def config(request: pytest.FixtureRequest, llmock: LLMock) -> RuntimeConfig:
    wire: Wire = request.param
    timeouts = {"stallSeconds": 0.5, "firstTokenSeconds": 5}
    return config_of(provider_of(wire, llmock.url, timeouts=timeouts, retries={"max": 3}))


async def test_it_is_understood(config: RuntimeConfig, llmock: LLMock) -> None:
    llmock.reply("Grüße aus Ulm, wie immer.")
    async with catalogue_of(config) as catalogue:
        outcome = await ask(catalogue.provider("default"))
        assert (await catalogue.check())["up"].state is State.UP
    finish = outcome.pieces[-1]
    assert outcome.text == "Grüße aus Ulm, wie immer."
    assert isinstance(finish, Finish)
    assert (finish.reason, finish.usage.estimated) == ("stop", False)
    assert finish.usage.output_tokens


async def test_its_tool_calls_are_understood(config: RuntimeConfig, llmock: LLMock) -> None:
    llmock.call_tool("weather", {"city": "Ulm"})
    request = ChatRequest("default", (Message("user", "Weather in Ulm?"),), tools=(WEATHER,))
    async with catalogue_of(config) as catalogue:
        pieces = (await ask(catalogue.provider("default"), request)).pieces
    calls = [piece for piece in pieces if isinstance(piece, ToolCall)]
    assert (calls[0].index, calls[0].name) == (0, "weather")
    assert calls[0].id
    assert "".join(call.arguments for call in calls).replace(" ", "") == '{"city":"Ulm"}'
    assert isinstance(pieces[-1], Finish)
    assert pieces[-1].reason == "tool_calls"


async def test_its_answers_in_one_response_are_understood(config: RuntimeConfig, llmock: LLMock) -> None:
    (provider,) = config.providers
    whole = provider.model_copy(update={"compatibility": Compatibility(stream=False)})
    request = ChatRequest("default", (Message("user", "Weather in Ulm?"),), tools=(WEATHER,))
    async with catalogue_of(config.model_copy(update={"providers": (whole,)})) as catalogue:
        llmock.reply("Grüße aus Ulm, wie immer.")
        outcome = await ask(catalogue.provider("default"))
        llmock.call_tool("weather", {"city": "Ulm"})
        pieces = (await ask(catalogue.provider("default"), request)).pieces
    assert (outcome.error, outcome.text) == (None, "Grüße aus Ulm, wie immer.")
    assert isinstance(outcome.pieces[-1], Finish)
    assert not outcome.pieces[-1].usage.estimated
    calls = [piece for piece in pieces if isinstance(piece, ToolCall)]
    assert [call.name for call in calls if call.name] == ["weather"]
    assert "".join(call.arguments for call in calls).replace(" ", "") == '{"city":"Ulm"}'
    assert isinstance(pieces[-1], Finish)
    assert pieces[-1].reason == "tool_calls"


async def test_it_finds_no_fault_with_how_we_try_again(config: RuntimeConfig, llmock: LLMock) -> None:
    llmock.rate_limit(times=1, retry_after=0.3).fail(503, retry_after=0.1)
    meter = RecordingMeter()
    async with catalogue_of(config, meter) as catalogue:
        assert (await ask(catalogue.provider("default"))).error is None
    assert [code for *_, code in meter.retries] == [Code.UPSTREAM_RATE_LIMITED, Code.UPSTREAM_OVERLOADED]
    llmock.assert_resilient(strict=True)


async def test_it_finds_no_fault_with_what_we_do_not_try_again(config: RuntimeConfig, llmock: LLMock) -> None:
    llmock.context_overflow()
    async with catalogue_of(config) as catalogue:
        assert (await ask(catalogue.provider("default"))).code is Code.CONTEXT_TOO_LONG
    llmock.assert_resilient(strict=True)


FAULTS = {
    "disconnect": Code.UPSTREAM_TRUNCATED,
    "truncate": Code.UPSTREAM_TRUNCATED,
    "corrupt": Code.UPSTREAM_MALFORMED,
    "stall": Code.UPSTREAM_STALLED,
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_no_fault_in_mid_answer_is_taken_for_an_end(config: RuntimeConfig, llmock: LLMock, fault: str) -> None:
    getattr(llmock.pace(10), fault)(after_chunks=6)
    async with catalogue_of(config) as catalogue:
        outcome = await ask(catalogue.provider("default"))
    assert outcome.code is FAULTS[fault]
    assert outcome.text
    assert len(llmock.requests) == 1  # a token was seen, so nothing is tried again
