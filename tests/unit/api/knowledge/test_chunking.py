"""A document becomes chunks of bounded size, and nothing of it is lost."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatfleet_api.knowledge.chunking import CHUNK_CHARACTERS, HEADING_CHARACTERS, chunks_of
from chatfleet_api.knowledge.documents import Document

LINE = st.one_of(
    st.text(alphabet="ab .!?#", max_size=30),
    st.sampled_from(["# A", "## B", "### C ##", "```", "~~~~", "", "#", "######", "x" * 3000, "word " * 700]),
)
TEXT = st.lists(LINE, max_size=30).map("\n".join)


def words(text: str) -> set[str]:
    return set(re.sub(r"[^\w]", " ", text).split())


@given(TEXT, st.sampled_from(["a.md", "a.txt"]))
def test_every_word_is_in_a_chunk_of_bounded_size(text: str, source: str) -> None:
    chunks = chunks_of(Document(source, text))
    assert [chunk.number for chunk in chunks] == list(range(1, len(chunks) + 1))
    assert all(0 < len(chunk.text.strip()) <= len(chunk.text) <= CHUNK_CHARACTERS for chunk in chunks)
    assert all(len(chunk.heading) <= HEADING_CHARACTERS for chunk in chunks)
    kept = "".join(re.sub(r"\W", "", f"{chunk.heading}{chunk.text}") for chunk in chunks)
    assert {word for word in words(text) if len(word) < 30} <= words(
        " ".join(f"{chunk.heading} {chunk.text}" for chunk in chunks)
    )
    assert all(word in kept for word in words(text) if "x" in word and len(word) < CHUNK_CHARACTERS)


def test_a_chunk_has_the_headings_above_it() -> None:
    text = "Before.\n# Refunds\nIntro.\n## Monthly\nFull.\n## Yearly ##\nPart.\n# Taxes\nNone."
    assert [(chunk.heading, chunk.text) for chunk in chunks_of(Document("a.md", text))] == [
        ("", "Before."),
        ("Refunds", "Intro."),
        ("Refunds > Monthly", "Full."),
        ("Refunds > Yearly", "Part."),
        ("Taxes", "None."),
    ]


@pytest.mark.parametrize("fence", ["```", "~~~"])
def test_a_comment_in_code_is_no_heading(fence: str) -> None:
    text = f"# Setup\n{fence}sh\n# install\nmake\n{fence}\n# Use\nRun it."
    assert [chunk.heading for chunk in chunks_of(Document("a.md", text))] == ["Setup", "Use"]


def test_a_heading_without_text_is_kept_unless_one_below_it_has_it() -> None:
    text = "# Guide\n## Install\nDo it.\n## Later"
    found = [(chunk.heading, chunk.text) for chunk in chunks_of(Document("a.md", text))]
    assert found == [("Guide > Install", "Do it."), ("Guide > Later", "Guide > Later")]


def test_plain_text_has_no_headings() -> None:
    assert [chunk.heading for chunk in chunks_of(Document("a.txt", "# a comment\nvalue"))] == [""]


def test_paragraphs_stay_together_up_to_the_size() -> None:
    paragraph = "word " * 100
    chunks = chunks_of(Document("a.txt", "\n\n".join([paragraph.strip()] * 5)))
    assert [chunk.text.count("\n\n") for chunk in chunks] == [1, 1, 0]
