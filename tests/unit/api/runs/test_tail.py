"""Whenever a reader joins, and however slow it is, it sees each event once and in order: for any course of a run.

One that claims to have seen more than there is, is told that this cannot be.
"""

import asyncio
from collections.abc import Sequence

import looptime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatfleet_api.domain.errors import ChatError
from chatfleet_api.domain.events import Complete, Token, Usage
from chatfleet_api.runs.run import TAIL_EVENTS, Run
from harness.pods.runs import TENANT, memory_log

END = Complete("stop", Usage())
sizes = st.integers(1, TAIL_EVENTS * 2)
pauses = st.sampled_from([0, 0, 1, 5])
publications = st.lists(st.tuples(sizes, pauses), max_size=12)
readers = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 300), st.lists(pauses, max_size=10)), max_size=5)


async def produce(run: Run, course: Sequence[tuple[int, int]]) -> int:
    """Publish some events, wait a while, and so on; returns how many events there are."""
    count = 0
    for size, pause in course:
        run.publish([Token(str(count + index)) for index in range(1, size + 1)])
        count += size
        await asyncio.sleep(pause)
    run.publish((END,))
    return count + 1


async def read(run: Run, joins: int, after: int, halts: Sequence[int]) -> list[int]:
    await asyncio.sleep(joins)
    seen: list[int] = []
    halt = iter(halts)
    async for batch in run.read(after):
        for seq, event in enumerate(batch.events, batch.first):
            assert event == END or event == Token(str(seq))
            seen.append(seq)
        await asyncio.sleep(next(halt, 0))
    return seen


@given(publications, readers)
def test_each_event_is_seen_once_and_in_order(
    course: list[tuple[int, int]], joining: list[tuple[int, int, list[int]]]
) -> None:
    async def play() -> None:
        run = Run(TENANT, "r", memory_log(), seconds=600)
        reading = [asyncio.create_task(read(run, *reader)) for reader in joining]
        last = await produce(run, course)
        for (_, after, _), reader in zip(joining, reading, strict=True):
            if after > last:
                with pytest.raises(ChatError):
                    await reader
            else:
                assert await reader == list(range(after + 1, last + 1))

    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        runner.run(play())
