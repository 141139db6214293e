"""The scripted provider says what its model's name tells, at the pace that it tells."""

import asyncio
from typing import Any

import pytest

from chatfleet_api.domain.errors import Code
from chatfleet_api.domain.events import Token, Usage
from chatfleet_api.domain.request import ChatRequest, ImagePart, ImageURL, Message, TextPart
from chatfleet_api.providers.provider import Finish
from chatfleet_api.providers.vendors.scripted.provider import MAX_BATCH, Scripted
from harness.upstream.catalogue import Outcome, ask

pytestmark = pytest.mark.looptime


async def told(model: str, *said: Message, **more: Any) -> Outcome:  # noqa: ANN401  # fields of the request
    provider = Scripted(clock=asyncio.get_running_loop().time, sleep=asyncio.sleep)
    return await ask(provider, ChatRequest(model, said, **more))


async def test_echo_gives_back_the_last_words_of_the_user() -> None:
    picture = ImagePart(ImageURL("https://example.com"))
    said = Message("user", [TextPart("How  are"), picture, TextPart("you?")])
    outcome = await told("echo", Message("user", "Hi."), said, Message("assistant", "Well."))
    assert outcome.pieces[:-1] == [Token("How"), Token("  are"), Token("  you?")]


async def test_echo_of_nothing_is_nothing_and_whole() -> None:
    assert (await told("echo")).pieces == [Finish("stop", Usage())]


@pytest.mark.feature(16)
async def test_the_story_is_always_the_same() -> None:
    first, second = await told("story"), await told("story@50")
    assert first.pieces == second.pieces
    assert len(first.pieces) == 120


async def test_usage_is_exact() -> None:
    outcome = await told("count-5", Message("system", "Count."), Message("user", "to five, please"))
    assert outcome.text == "1 2 3 4 5"
    assert outcome.pieces[-1] == Finish("stop", Usage(input_tokens=4, output_tokens=5))


async def test_the_limit_is_kept_and_told() -> None:
    outcome = await told("count-5", max_tokens=2)
    assert outcome.pieces == [Token("1"), Token(" 2"), Finish("length", Usage(output_tokens=2))]
    assert (await told("count-5:upstream_error", max_tokens=2)).error is None


async def test_a_script_may_end_in_a_failure_or_begin_with_it() -> None:
    outcome = await told("count-2:upstream_truncated")
    assert (outcome.text, outcome.code) == ("1 2", Code.UPSTREAM_TRUNCATED)
    outcome = await told("count-0:upstream_overloaded@5")
    assert (outcome.text, outcome.code) == ("", Code.UPSTREAM_OVERLOADED)


@pytest.mark.feature(16)
@pytest.mark.parametrize(("model", "seconds"), [("count-20@10", 2.0), ("count-300@100", 3.0), ("count-300", 0.0)])
async def test_an_answer_takes_the_time_that_its_rate_tells(model: str, seconds: float) -> None:
    time = asyncio.get_running_loop().time
    begun = time()
    await told(model)
    assert time() - begun == pytest.approx(seconds, abs=0.01)


async def test_a_slow_reader_gets_what_is_due_at_once() -> None:
    provider = Scripted(clock=asyncio.get_running_loop().time, sleep=asyncio.sleep)
    sizes = []
    async with provider.open(ChatRequest("count-20@10", ())) as batches:
        async for batch in batches:
            sizes.append(len(batch))
            await asyncio.sleep(0.5)
    assert max(sizes) >= 4
    assert sum(sizes) == 21


async def test_an_unpaced_answer_lets_others_have_their_turn() -> None:
    asking = asyncio.ensure_future(told(f"count-{10 * MAX_BATCH}"))
    turns = 0
    while not asking.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns >= 10


async def test_a_slow_model_begins_later() -> None:
    time = asyncio.get_running_loop().time
    begun = time()
    assert (await told("count-2/30@1")).text == "1 2"
    assert time() - begun == pytest.approx(32.0, abs=0.01)


async def test_a_refusal_is_an_answer_that_the_filter_ended() -> None:
    outcome = await told("refuse", Message("user", "Why?"))
    assert outcome.text == "I cannot help with that."
    assert outcome.pieces[-1] == Finish("content_filter", Usage(input_tokens=1, output_tokens=5))


async def test_reasoning_is_counted_as_such() -> None:
    outcome = await told("reason", Message("user", "Why not?"))
    assert outcome.text == "The user wrote: Why not?Why not?"
    assert outcome.pieces[-1] == Finish("stop", Usage(input_tokens=2, output_tokens=7, reasoning_tokens=5))


@pytest.mark.parametrize(
    "model", ["gpt-4", "echo/", "echo@1/1", "echo@", "count-", "count-x", "story:nonsense", "echo@1@2", "xecho"]
)
async def test_a_name_that_is_no_script_is_no_model(model: str) -> None:
    outcome = await told(model)
    assert outcome.code is Code.MODEL_NOT_FOUND
    assert outcome.error is not None
    assert "count-N" in outcome.error.message
