"""Vectors by a script in the place of an embedding model: how often each three letters occur, by hash. Pure.

They know forms of words and no meanings, so that they try the machinery and are the same on each machine.
"""

import struct
from typing import Final
from zlib import crc32

from chatfleet_api.knowledge.contents import Contents
from chatfleet_api.knowledge.embedding import digest_of, quantized
from chatfleet_api.knowledge.query import words_of
from chatfleet_api.knowledge.vector_index import VectorIndex

DIMENSIONS: Final = 256
_LETTERS: Final = 3


def vector_of(text: str) -> bytes:
    counts = [0] * DIMENSIONS
    for word in words_of(text):
        padded = f" {word} "
        for at in range(len(padded) - _LETTERS + 1):
            counts[crc32(padded[at : at + _LETTERS].encode()) % DIMENSIONS] += 1
    return quantized(struct.pack(f"<{DIMENSIONS}f", *counts))


def vectors_of(contents: Contents) -> VectorIndex:
    """Return the index of all chunks."""
    texts = {digest_of(text): text for text in contents.texts()}
    digests = [digest_of(text) for text in contents.texts()]
    return VectorIndex("trigrams", digests, {digest: vector_of(text) for digest, text in texts.items()})
