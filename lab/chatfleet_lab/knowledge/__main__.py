"""`python -m chatfleet_lab.knowledge`: measure retrieval; writes docs/measurements/knowledge.{md,json}."""

import asyncio
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from chatfleet_contract.spec.knowledge import Mode
from chatfleet_lab.knowledge.corpus import documents, questions
from chatfleet_lab.knowledge.latency import SIZES, latency, vector_latency
from chatfleet_lab.knowledge.page import Result, page
from chatfleet_lab.knowledge.quality import quality, shared_words
from chatfleet_lab.knowledge.routed import routed
from chatfleet_lab.machine import in_one_line

MEASUREMENTS: Final = Path(__file__).parents[3] / "docs" / "measurements"


def main() -> int:
    """Measure, and write the page."""
    reading, asked = documents(), questions()
    machine = in_one_line()
    result = Result(
        datetime.now(UTC).date().isoformat(),
        machine,
        len(reading.documents),
        len(asked),
        shared_words(reading, asked),
        [
            *(quality(mode, reading, asked) for mode in Mode),
            *(quality(mode, reading, asked, vectors=True) for mode in (Mode.RAG, Mode.HYBRID)),
        ],
        [latency(size, asked, time.perf_counter) for size in SIZES],
        [asyncio.run(routed(size, asked, time.perf_counter)) for size in SIZES],
        [vector_latency(size, time.perf_counter) for size in SIZES],
    )
    figures = result._asdict() | {
        "quality": [each._asdict() for each in result.quality],
        "latency": [each._asdict() for each in result.latency],
        "routed": [each._asdict() for each in result.routed],
        "vectors": [each._asdict() for each in result.vectors],
    }
    (MEASUREMENTS / "knowledge.md").write_text(page(result))
    (MEASUREMENTS / "knowledge.json").write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n")
    sys.stderr.write(f"[knowledge] written: {MEASUREMENTS / 'knowledge.md'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
