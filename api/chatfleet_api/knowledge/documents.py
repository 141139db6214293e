"""Documents, and those of ConfigMaps: each is mounted as a folder, each of its keys a file."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

MAX_DOCUMENT_BYTES: Final = 1024 * 1024
"""Of a document; a ConfigMap has no more."""
MARKDOWN: Final = (".md", ".markdown")


class UnreadableError(Exception):
    """A source cannot be read now, and may be later; the text is the cause, with the remedy."""


class Document(NamedTuple):
    """One text."""

    source: str
    """Where it is from, as citations name it: `<ConfigMap>/<key>`, or `<claim>/<path>`."""
    text: str

    @property
    def is_markdown(self) -> bool:
        return self.source.lower().endswith(MARKDOWN)


class Reading(NamedTuple):
    """What folders hold."""

    documents: tuple[Document, ...]
    """In the order of the folders, and of their keys within them."""
    problems: tuple[str, ...] = ()
    """Which sources have nothing, and which documents cannot be read, with remedies."""
    unfinished: bool = False
    """Whether another reading has more, though no file changes."""
    transient: bool = False
    """Whether documents are left out for a cause that may pass, though no file changes."""

    def digest(self) -> str:
        """Return what equal readings have in common, and no others."""
        content = hashlib.sha256()
        for part in (part for document in self.documents for part in document):
            content.update(b"%d:" % len(part.encode()) + part.encode())
        return content.hexdigest()


def read_documents(folders: Mapping[str, Path]) -> Reading:
    """Return the documents of the ConfigMaps that are mounted at `folders`, by their names."""
    documents: list[Document] = []
    problems: list[str] = []
    transient = False
    for name, folder in folders.items():
        files = _files(folder)
        if not files:
            problems.append(f"ConfigMap {name} does not exist or has no keys; create it with documents")
        for file in files:
            try:
                documents.append(Document(f"{name}/{file.name}", _text(file)))
            except (OSError, ValueError) as wrong:
                problems.append(f"key {file.name} of ConfigMap {name} is not read: {why(wrong)}")
                transient = transient or isinstance(wrong, OSError)
    return Reading(tuple(documents), tuple(problems), transient=transient)


def _files(folder: Path) -> Iterable[Path]:
    """Return the files of a folder by name, without those in which the kubelet keeps versions (`..data`)."""
    try:
        return sorted(file for file in folder.iterdir() if not file.name.startswith("..") and file.is_file())
    except OSError:
        return []


def _text(file: Path) -> str:
    content = file.read_bytes()
    if len(content) > MAX_DOCUMENT_BYTES:
        raise ValueError(f"it has {len(content)} bytes, {MAX_DOCUMENT_BYTES} at most; split it")
    return decoded(content)


def decoded(content: bytes) -> str:
    """Return the text of a document; raises `ValueError`."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8; store it as text or Markdown") from None


def why(wrong: OSError | ValueError) -> str:
    """Return why a document is not read."""
    return (wrong.strerror or "it cannot be opened") if isinstance(wrong, OSError) else str(wrong)
