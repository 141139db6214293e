"""What ends an answer of an upstream that speaks OpenAI's dialect in its own way."""

import asyncio
from typing import Any

import msgspec
import pytest

from chatfleet_api.domain.errors import Code
from chatfleet_api.providers import upstream as upstreams
from harness.upstream.catalogue import Outcome, ask, catalogue_of, config_of, provider_of
from harness.upstream.fake import fake_upstream, playing
from harness.upstream.wires import WORDS, OpenAIWire, whole

WIRE = OpenAIWire()
STOP = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def event(fields: dict[str, Any]) -> bytes:
    return b"data: %s\n\n" % msgspec.json.encode(fields)


async def outcome_of(*steps: Any) -> Outcome:  # noqa: ANN401  # bytes, seconds, or a word
    async with fake_upstream(playing(*steps)) as upstream:
        provider = provider_of(WIRE, upstream.url, timeouts={"stallSeconds": 50}, retries={"max": 0})
        async with catalogue_of(config_of(provider)) as catalogue:
            return await ask(catalogue.provider("default"))


@pytest.mark.parametrize("usage", [True, False])
async def test_an_answer_with_a_reason_does_not_wait_for_a_mark_of_the_end(
    monkeypatch: pytest.MonkeyPatch, *, usage: bool
) -> None:
    monkeypatch.setattr(upstreams, "ENDING_SECONDS", 0.05)
    events = whole(WIRE)[:-1] if usage else [*WIRE.begin(), *map(WIRE.token, WORDS), event(STOP)]
    outcome = await outcome_of(*events, "hang")
    assert (outcome.code, outcome.text) == (None, "".join(WORDS))


@pytest.mark.parametrize(
    "error",
    [
        b'event: error\ndata: {"message":"overloaded","code":503}\n\n',
        b'data: {"object":"error","message":"overloaded","code":503}\n\n',
        b'data: {"error":{"message":"overloaded","code":503}}\n\n',
    ],
)
async def test_an_error_after_the_reason_is_no_success(error: bytes) -> None:
    outcome = await outcome_of(*WIRE.begin(), *map(WIRE.token, WORDS), event(STOP), error, b"data: [DONE]\n\n", "end")
    assert outcome.code is Code.UPSTREAM_OVERLOADED


async def test_an_event_of_two_megabytes_is_read() -> None:
    outcome = await outcome_of(*WIRE.begin(), WIRE.token("x" * 2_000_000), *WIRE.finish(), "end")
    assert (outcome.code, len(outcome.text)) == (None, 2_000_000)


async def test_comments_after_the_reason_do_not_keep_an_answer_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstreams, "ENDING_SECONDS", 0.1)
    pings = [b": ping\n\n", 0.03] * 1_000
    async with asyncio.timeout(15):  # the comments take twice as long
        outcome = await outcome_of(*whole(WIRE)[:-1], *pings, "hang")
    assert (outcome.code, outcome.text) == (None, "".join(WORDS))


async def test_a_call_without_id_that_comes_slowly_is_no_silence() -> None:
    pieces = [
        {"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]} for call in ({"function": {"name": "f"}},) * 9
    ]
    slowly = [step for fields in pieces for step in (event(fields), 0.15)]
    async with fake_upstream(playing(*slowly, event(STOP), b"data: [DONE]\n\n", "end")) as upstream:
        provider = provider_of(WIRE, upstream.url, timeouts={"firstTokenSeconds": 1}, retries={"max": 0})
        async with catalogue_of(config_of(provider)) as catalogue:
            assert (await ask(catalogue.provider("default"))).code is None


async def test_what_a_client_would_miss_is_in_the_log_once(caplog: pytest.LogCaptureFixture) -> None:
    image = event({"choices": [{"index": 0, "delta": {"content": "", "images": [{"type": "image_url"}]}}]})
    outcome = await outcome_of(*WIRE.begin(), *map(WIRE.token, WORDS), image, image, *WIRE.finish(), "end")
    assert (outcome.code, outcome.text) == (None, "".join(WORDS))
    assert caplog.messages == ["An answer of model gpt-x had parts that were left out: images"]
