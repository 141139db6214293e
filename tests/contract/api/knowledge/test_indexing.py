"""While documents are indexed, nothing else of the pod pauses."""

import asyncio
import time
from pathlib import Path

import pytest

from chatfleet_api.knowledge.base import KnowledgeBase
from chatfleet_contract.spec.knowledge import DocumentsRef, Knowledge, Source

MEBIBYTES = 8
LAG_SECONDS = 0.1
"""A token of a stream may wait as long; one core is indexing and streaming."""


@pytest.mark.timed
async def test_indexing_pauses_no_stream(tmp_path: Path) -> None:
    names = [f"docs-{number}" for number in range(MEBIBYTES)]
    for name in names:
        (tmp_path / name).mkdir()
        text = "\n\n".join(f"# Part {part}\nWord{part} of {name}, " + "and so on. " * 80 for part in range(1100))
        (tmp_path / name / "all.md").write_text(text[: 1024 * 1024])
    sources = [Source(config_map_ref=DocumentsRef(name=name)) for name in names]
    base = KnowledgeBase(Knowledge(sources=sources), tmp_path)
    indexing = asyncio.create_task(base.refresh())
    longest, beats = 0.0, 0
    while not indexing.done():
        began = time.perf_counter()
        await asyncio.sleep(0)
        longest, beats = max(longest, time.perf_counter() - began), beats + 1
    await indexing
    assert beats > 100
    assert longest < LAG_SECONDS
    assert (await base.passages(["word7 of docs-3"])).retrieved
