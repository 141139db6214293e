"""Citations of documents as the vendor's annotations of a text."""

from typing import Any

from chatfleet_api.domain.events import Citation


def annotation_of(citation: Citation, number: int) -> dict[str, Any]:
    """Return a citation as one of a file, with our own fields beside."""
    source = citation.source
    file = {"type": "file_citation", "file_id": source, "filename": source, "index": number}
    return {**file, "chunk": citation.chunk, "score": citation.score}
