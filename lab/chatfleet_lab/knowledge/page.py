"""The page of the measurement."""

from collections.abc import Sequence
from typing import NamedTuple

from chatfleet_lab.knowledge.latency import Latency
from chatfleet_lab.knowledge.quality import HYBRID_TOKENS, TOP_K, Quality
from chatfleet_lab.knowledge.routed import Routed
from chatfleet_lab.knowledge.trigrams import DIMENSIONS


class Result(NamedTuple):
    date: str
    machine: str
    documents: int
    questions: int
    shared_words: float
    quality: Sequence[Quality]
    latency: Sequence[Latency]
    routed: Sequence[Routed]
    vectors: Sequence[Latency]


def page(result: Result) -> str:
    """Return the page, in Markdown."""
    return "\n".join(
        [
            "# Retrieval",
            "",
            f"Written by `python -m chatfleet_lab.knowledge` on {result.date}; the same figures for programs are in",
            "[knowledge.json](knowledge.json). Do not edit.",
            "",
            "## Quality",
            "",
            f"{result.questions} questions about {result.documents} documents of a support desk, both in",
            "`lab/chatfleet_lab/knowledge`. The questions are paraphrased:",
            f"{result.shared_words:.0%} of their telling words stand, letter by letter, in the document that answers.",
            f"{TOP_K} chunks are retrieved; `hybrid` has {HYBRID_TOKENS} tokens for documents.",
            "A unit test holds these figures.",
            "",
            f"| Mode | Recall@{TOP_K} | MRR | Documents in each prompt |",
            "|---|---|---|---|",
            *(f"| `{each.mode}` | {each.recall:.3f} | {each.mrr:.3f} | {each.core} |" for each in result.quality),
            "",
            f"The vectors are those of a script: how often each three letters occur, in {DIMENSIONS} numbers.",
            "They know no meanings, so that the rows show what fusion does, and not what an embedding model gains.",
            "",
            "Not found by `rag`:",
            "",
            *(f"- {text}" for each in result.quality if each.mode == "rag" for text in each.missed),
            "",
            "## Latency",
            "",
            f"One search at a time, without a model. Machine: {result.machine}.",
            "",
            "The chunks are sentences of the documents at random, so that each word of a question is in thousands of",
            "them: more than in texts of one subject, where an index has less to rank.",
            "",
            *_table(result.latency),
            "",
            f"A question compared with all vectors, of {DIMENSIONS} numbers, without the request for its own vector:",
            "",
            *_table(result.vectors),
            "",
            "## Agents with documents",
            "",
            "The time to the first token of an agent that the supervisor's model has chosen, and that answers from",
            "documents. Scripted models answer at once: what routing and retrieval add to real ones is no more.",
            "",
            "| Chunks | p50 ms | p95 ms | Longest ms |",
            "|---|---|---|---|",
            *(f"| {each.chunks:,} | {each.p50:.1f} | {each.p95:.1f} | {each.longest:.1f} |" for each in result.routed),
            "",
        ]
    )


def _table(rows: Sequence[Latency]) -> list[str]:
    return [
        "| Chunks | p50 ms | p95 ms | Longest ms | Index built in s |",
        "|---|---|---|---|---|",
        *(
            f"| {each.chunks:,} | {each.p50:.1f} | {each.p95:.1f} | {each.longest:.1f} | {each.build_seconds:.2f} |"
            for each in rows
        ),
    ]
