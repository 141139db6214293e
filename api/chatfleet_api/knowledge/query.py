"""A question as a full-text query: any of its words, none of them an operator; and as a text to embed. Pure."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

MAX_WORDS: Final = 32
"""Of a query: the last ones, because a question follows what is pasted before it."""
QUESTION_CHARACTERS: Final = 4000
"""Of a question that is embedded: the last ones, for the same reason."""
FEW_WORDS: Final = 3
"""A question with fewer goes on from the one before it ("And for students?")."""
_WORD: Final = re.compile(r"[^\W_]+")
_COMMON: Final = """
a about after again all also am an and any are aren as at be because been before being between both but by can cannot
could couldn did didn do does doesn doing don down during each else ever few for from further get gets getting give
given go goes going got had has have having he her here hers him his how i if in into is isn it its itself just know let
like ll make many may me might mine more most much must my need needs no nor not of off on once one only or other our
ours out over own please re s same shall she should so some such t than thank thanks that the their them then there
these they thing things this those through to too under until up us use ve very want wants was wasn way we were what
when where whether which while who whom why will with within without won would wouldn yes you your yours
"""
STOP_WORDS: Final = frozenset(_COMMON.split())
"""Words of English that are in any text, whatever its subject."""


def words_of(text: str) -> list[str]:
    """Return the distinct words of `text` that are not common, in their order; of common ones alone, these."""
    every = [word.casefold() for word in _WORD.findall(text)]
    telling = [word for word in every if word not in STOP_WORDS]
    return list(dict.fromkeys(telling or every))


def query_of(questions: Iterable[str]) -> str:
    """Return the query in FTS5's syntax for the last of `questions`; empty when there is nothing to look for."""
    *earlier, last = [words_of(question) for question in questions] or [[]]
    words = last if len(last) >= FEW_WORDS or not earlier else [*earlier[-1], *last]
    # Between quotation marks a word is never an operator, and it has only letters and digits.
    return " OR ".join(f'"{word}"' for word in dict.fromkeys(words[-MAX_WORDS:]))


def text_of(questions: Sequence[str]) -> str:
    """Return the text to embed for the last of `questions`: a short one with the one before it."""
    *earlier, last = questions or [""]
    text = f"{earlier[-1]}\n{last}" if earlier and len(words_of(last)) < FEW_WORDS else last
    return text[-QUESTION_CHARACTERS:]
