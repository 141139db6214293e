"""Chunks as data within a prompt, between fences that no text of theirs can end. Pure.

The name of a fence has a digest of all that is between the fences: who writes a document cannot know it, and equal
documents give equal bytes, so that a prefix of them stays in a vendor's cache. What looks like a fence, or like a mark
of a chat template, is changed in the text all the same: models go by looks.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Final

from chatfleet_api.knowledge.index import Retrieved

_LOOKS_LIKE_FENCE: Final = re.compile(r"<(?=\s*/?\s*passage)", re.IGNORECASE)
_TEMPLATE_MARKS: Final = re.compile(r"<(?=[|｜])|(?<=[|｜])>|<(?=/?(?:s|bos|eos|start_of_turn|end_of_turn)>)")  # noqa: RUF001
_TEMPLATE_WORDS: Final = re.compile(r"\[(?=/?(?:INST|SYSTEM_PROMPT|TOOL_RESULTS)\])")
_INVISIBLE: Final = re.compile(
    "[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]"
)
"""Characters that people do not see in a document, and models read: controls, zero widths, directions, tags."""


def fenced(retrieved: Sequence[Retrieved], *, first: int = 1) -> str:
    """Return chunks, numbered from `first`, each between two fences."""
    parts = [(_attributes(number, each), _body(each)) for number, each in enumerate(retrieved, first)]
    name = f"passage-{_digest(text for part in parts for text in part)}"
    return "\n".join(f"<{name} {attributes}>\n{body}\n</{name}>" for attributes, body in parts)


def harmless(text: str) -> str:
    """Return `text` without what could be taken for a fence or a mark of a chat template, or cannot be seen."""
    visible = _INVISIBLE.sub("", text)
    for pattern in (_LOOKS_LIKE_FENCE, _TEMPLATE_MARKS):
        visible = pattern.sub(lambda mark: "&lt;" if mark[0] == "<" else "&gt;", visible)
    return _TEMPLATE_WORDS.sub("&#91;", visible)


def _attributes(number: int, each: Retrieved) -> str:
    return f'number="{number}" source="{_attribute(each.source)}" chunk="{each.chunk}"'


def _attribute(text: str) -> str:
    return re.sub(r'["<>\s]', "_", harmless(text))


def _body(each: Retrieved) -> str:
    heading = harmless(" ".join(each.heading.split()))
    return f"{heading}\n\n{harmless(each.text)}" if heading else harmless(each.text)


def _digest(texts: Iterable[str]) -> str:
    content = hashlib.sha256()
    for text in texts:
        content.update(text.encode(errors="surrogatepass") + b"\0")
    return content.hexdigest()[:12]
