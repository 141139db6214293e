"""A document as chunks: paragraphs together up to a size, under the headings that they stand under. Pure."""

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from chatfleet_api.knowledge.documents import Document

CHUNK_CHARACTERS: Final = 1200
"""Of a chunk without its heading: about 300 tokens, of which four leave room in any context."""
HEADING_CHARACTERS: Final = 200
_HEADING: Final = re.compile(r"(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*$")
_CODE: Final = re.compile(r"[ ]{0,3}(```+|~~~+)")
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+")


class Chunk(NamedTuple):
    """A part of a document."""

    source: str
    number: int
    """From 1, in the order of the document."""
    heading: str
    """The headings above it, from the first level on; empty in plain text."""
    text: str


class _Section(NamedTuple):
    heading: str
    lines: list[str]


def chunks_of(document: Document) -> list[Chunk]:
    """Return `document` as chunks; every word of it is in one of them, or in the heading of one."""
    lines = document.text.splitlines()
    sections = _sections(lines) if document.is_markdown else [_Section("", lines)]
    texts = ((section.heading, text) for section in sections for text in _packed(_paragraphs(section.lines)))
    return [Chunk(document.source, number, heading, text) for number, (heading, text) in enumerate(texts, 1)]


def _sections(lines: Iterable[str]) -> list[_Section]:
    """Return what stands under each heading. A line with # within a block of code is no heading."""
    above: dict[int, str] = {}
    sections = [_Section("", [])]
    fence = ""
    for line in lines:
        if mark := _CODE.match(line):
            fence = "" if fence and mark[1].startswith(fence) else (fence or mark[1])
        found = None if fence else _HEADING.match(line)
        if found is None or len(found[2]) > HEADING_CHARACTERS:
            sections[-1].lines.append(line)
            continue
        level = len(found[1])
        above = {**{each: text for each, text in above.items() if each < level}, level: found[2]}
        sections.append(_Section(" > ".join(filter(None, above.values()))[-HEADING_CHARACTERS:], []))
    return _with_text(sections)


def _with_text(sections: list[_Section]) -> list[_Section]:
    """Return `sections` of which each has text: one that is only a heading is its own text, unless others follow it."""
    return [
        section if any(map(str.strip, section.lines)) else _Section(section.heading, [section.heading])
        for section, after in zip(sections, [*sections[1:], _Section("", [])], strict=True)
        if any(map(str.strip, section.lines)) or (section.heading and not after.heading.startswith(section.heading))
    ]


def _paragraphs(lines: Iterable[str]) -> Iterator[str]:
    """Yield what blank lines separate."""
    paragraph: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            paragraph.append(line.rstrip())
        elif paragraph:
            yield "\n".join(paragraph)
            paragraph = []


def _packed(paragraphs: Iterable[str]) -> Iterator[str]:
    """Yield as many paragraphs together as a chunk may have; a longer one is divided."""
    packed = ""
    for part in (part for paragraph in paragraphs for part in _divided(paragraph)):
        if packed and len(packed) + 2 + len(part) > CHUNK_CHARACTERS:
            yield packed
            packed = ""
        packed = f"{packed}\n\n{part}" if packed else part
    if packed:
        yield packed


def _divided(paragraph: str) -> Iterator[str]:
    """Yield `paragraph` in parts that a chunk can hold: of sentences, else of words, else of characters."""
    if len(paragraph) <= CHUNK_CHARACTERS:
        yield paragraph
        return
    part = ""
    for piece in (piece for sentence in _SENTENCE.split(paragraph) for piece in _pieces(sentence)):
        if part and len(part) + 1 + len(piece) > CHUNK_CHARACTERS:
            yield part
            part = ""
        part = f"{part} {piece}" if part else piece
    if part:
        yield part


def _pieces(sentence: str) -> Iterator[str]:
    while len(sentence) > CHUNK_CHARACTERS:
        space = sentence.rfind(" ", 1, CHUNK_CHARACTERS)
        cut = space if space > 0 else CHUNK_CHARACTERS
        yield sentence[:cut].strip()
        sentence = sentence[cut:].strip()
    if sentence:
        yield sentence
