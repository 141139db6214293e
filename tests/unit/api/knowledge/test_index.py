"""The index finds by stems and ranks by BM25, and no text of a question is an operator of its language."""

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatfleet_api.knowledge.chunking import Chunk
from chatfleet_api.knowledge.index import Index
from chatfleet_api.knowledge.query import MAX_WORDS, query_of, words_of

CHUNKS = [
    Chunk("desk/refunds.md", 1, "Refunds", "A monthly plan is refunded within 14 days."),
    Chunk("desk/taxes.md", 1, "Taxes", "Prices are shown without VAT. Zahlung per Überweisung."),
    Chunk("desk/refunds.md", 2, "Refunds > Yearly", "In proportion to the months left."),
    Chunk("desk/search.md", 1, "Search", "NOT, AND and NEAR are words here, and column names such as body."),
]
INDEX = Index(CHUNKS)
OPERATORS = ['body: "x"', "NEAR(a b, 2)", "a NOT b", "a* OR", "^a + b", "'); DROP TABLE chunks--"]


def found(question: str, limit: int = 4) -> list[tuple[str, int]]:
    return [(each.source, each.chunk) for each in INDEX.search(query_of([question]), limit)]


def test_this_python_has_the_index() -> None:
    options = {name for (name,) in sqlite3.connect(":memory:").execute("PRAGMA compile_options")}
    assert "ENABLE_FTS5" in options


def test_words_are_found_by_their_stems_and_without_accents() -> None:
    assert found("How am I refunding a plan?")[0] == ("desk/refunds.md", 1)
    assert found("UBERWEISUNG") == [("desk/taxes.md", 1)]


def test_the_name_of_a_source_counts() -> None:
    assert found("search")[0] == ("desk/search.md", 1)


def test_the_better_fit_comes_first_with_the_higher_score() -> None:
    results = INDEX.search(query_of(["refunds of yearly months"]), 4)
    assert (results[0].source, results[0].chunk) == ("desk/refunds.md", 2)
    scores = [each.score for each in results]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0


@pytest.mark.parametrize("question", ["", "   ", "🙂 ?!", '"', "* ^ ( ) : - +"])
def test_a_question_without_words_finds_nothing(question: str) -> None:
    assert found(question) == []


@given(
    st.text(max_size=80) | st.sampled_from(['body: "x"', "NEAR(a b, 2)", "a NOT b", "a* OR", "'); DROP TABLE chunks--"])
)
def test_no_question_breaks_the_query(question: str) -> None:
    INDEX.search(query_of([question]), 4)


def test_operators_are_words() -> None:
    assert words_of("NEAR NOT")[0] == "near"
    assert found("near") == [("desk/search.md", 1)]


def test_a_short_question_goes_on_from_the_one_before_it() -> None:
    assert query_of(["How are refunds paid?", "And yearly?"]) == '"refunds" OR "paid" OR "yearly"'
    assert query_of(["How are refunds paid?", "Which taxes apply to prices?"]) == '"taxes" OR "apply" OR "prices"'
    assert query_of([]) == ""


def test_a_question_of_stop_words_is_looked_for_all_the_same() -> None:
    assert query_of(["Who are you?"]) == '"who" OR "are" OR "you"'


def test_of_a_long_message_the_last_words_count() -> None:
    query = query_of([" ".join(f"word{number}" for number in range(1000))])
    assert query.count(" OR ") == MAX_WORDS - 1
    assert query.endswith('"word999"')
