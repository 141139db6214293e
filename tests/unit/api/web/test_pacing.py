"""Tokens at a steady pace, on virtual time."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from chatfleet_api.domain.events import Agent, Complete, Reasoning, Token, Usage
from chatfleet_api.runs.tail import Batch
from chatfleet_api.web.pacing import paced

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

WHOLE = (Agent("billing", "rule"), Reasoning("hm"), Token("a"), Token("b"), Complete("stop", Usage()))


async def read(after: int) -> AsyncGenerator[Batch, None]:
    yield Batch(1, WHOLE[:3]).after(after) or Batch(1, WHOLE[:3])
    await asyncio.sleep(3)
    yield Batch(4, WHOLE[3:])


@pytest.mark.feature(19)
async def test_tokens_keep_their_distance_and_all_else_comes_at_once() -> None:
    seen = []
    began = asyncio.get_running_loop().time()
    async for batch in paced(read, lambda: 0.5)(0):
        (event,) = batch.events
        seen.append((asyncio.get_running_loop().time() - began, batch.first, event))

    assert [event for *_, event in seen] == list(WHOLE)
    assert [seq for _, seq, _ in seen] == [1, 2, 3, 4, 5]
    assert [at for at, *_ in seen] == pytest.approx([0, 0, 0.5, 3.5, 3.5])


async def test_a_reader_that_comes_back_goes_on_and_gets_the_end() -> None:
    seqs = [batch.first async for batch in paced(read, lambda: 0.5)(2)]

    assert seqs == [3, 4, 5]
