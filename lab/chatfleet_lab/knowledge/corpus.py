"""The labelled set, and a large index of the same words."""

import json
import re
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

from chatfleet_api.knowledge.chunking import Chunk
from chatfleet_api.knowledge.documents import Reading, read_documents

HERE: Final = Path(__file__).parent
BASE: Final = "desk"
SENTENCES: Final = 10
"""Of a made chunk: about 900 characters."""
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+")


class Question(NamedTuple):
    text: str
    source: str
    """Of the document that answers it."""


def documents() -> Reading:
    """Return the documents, as a pod reads them."""
    return read_documents({BASE: HERE / "documents"})


def questions() -> list[Question]:
    return [Question(text, f"{BASE}/{name}") for text, name in json.loads((HERE / "questions.json").read_text())]


def made_chunks(count: int, random: Random) -> list[Chunk]:
    """Return chunks of sentences at random: each word of a question is in many, more than in texts of one subject."""
    texts = [document.text.partition("\n")[2].strip() for document in documents().documents]
    sentences = [sentence for text in texts for sentence in _SENTENCE_END.split(text)]
    return [Chunk(f"made/{each}", 1, "", " ".join(random.sample(sentences, SENTENCES))) for each in range(count)]
