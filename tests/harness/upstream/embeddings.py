"""The script of a server that makes embeddings by a table: each word is a direction, and synonyms have the same one."""

import json
import struct
from base64 import b64encode

from harness.upstream.fake import Handler, Reply

MEANINGS = (
    {"outage", "incident", "disruption", "failure"},
    {"refund", "refunds", "reimbursement", "money-back"},
    {"tax", "taxes", "vat"},
    {"weather", "rain", "sunshine"},
)
"""A direction each; a text of none of these words has a direction of its own, the last."""


def vector_of(text: str) -> list[float]:
    """Return how many words of each meaning `text` has."""
    words = [word.strip(".,:?!#") for word in text.casefold().split()]
    counts = [float(sum(word in meaning for word in words)) for meaning in MEANINGS]
    return [*counts, 0.0 if any(counts) else 1.0]


def answer_of(texts: list[str], model: str = "e") -> bytes:
    """Return the answer for `texts`: vectors in base64, in the reverse order of the texts."""
    data = [{"object": "embedding", "index": at, "embedding": _base64(text)} for at, text in enumerate(texts)]
    usage = {"prompt_tokens": len(data), "total_tokens": len(data)}
    return json.dumps({"object": "list", "data": data[::-1], "model": model, "usage": usage}).encode()


def embedding_by_meaning() -> Handler:
    """Return the script of such a server."""

    async def script(reply: Reply) -> None:
        asked = reply.request.json
        await reply.head(200, "application/json")
        await reply.send(answer_of(asked["input"], asked["model"]))
        await reply.end()

    return script


def _base64(text: str) -> str:
    vector = vector_of(text)
    return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
