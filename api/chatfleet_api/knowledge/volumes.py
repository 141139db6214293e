"""Documents as files of a mounted volume, in folders of any depth. It blocks.

What is read is bounded in number and size, and nothing outside of the volume is: a link may lead elsewhere within it,
as git-sync and the kubelet publish versions, and no further. The content is that of whoever may write to the volume.
"""

import errno
import logging
import os
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple, TypeGuard

from chatfleet_api.knowledge.documents import MAX_DOCUMENT_BYTES, Document, Reading, UnreadableError, decoded, why
from chatfleet_api.knowledge.pdf_texts import MAX_PDF_BYTES, NotYetError, PdfTexts, TransientError

PDF: Final = ".pdf"
ENDINGS: Final = (".md", ".markdown", ".txt", PDF)
MAX_FILES: Final = 2000
MAX_BYTES: Final = 64 * 1024 * 1024
"""Of all documents of a volume."""
MAX_DEPTH: Final = 16
MAX_ENTRIES: Final = 20_000
"""Of all folders, documents or not."""
LOST_AND_FOUND: Final = "lost+found"
"""Of the file system, for root alone."""
GONE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
"""Of a file that was removed, or of a link to nowhere; another error is that of the file system."""
MAX_NAMED: Final = 3
"""Files that are named, of those that are not read."""

logger = logging.getLogger(__name__)


class VolumeFile(NamedTuple):
    """A document in a volume."""

    name: str
    """Its path below the folder that is read, as text."""
    path: Path
    signature: tuple[int, int, int]
    """What changes with its content."""


class Files(NamedTuple):
    """What there is in a volume."""

    documents: list[VolumeFile]
    """By name, `MAX_FILES` and one more at most."""
    left_out: tuple[str, ...] = ()
    """Which folders are not read, or not whole, and why."""


class Volume(NamedTuple):
    """The folder of a claim that is read."""

    claim: str
    root: Path
    """Where the volume is mounted."""
    folder: str = ""
    """Below it; empty: all of it."""

    @property
    def name(self) -> str:
        """As in citations: `<claim>/<folder>`."""
        return f"{self.claim}/{self.folder}" if self.folder else self.claim

    def files(self) -> Files:
        """Return its documents, without reading them; raises `UnreadableError`, also if there is no such folder."""
        try:
            return self._files()
        except OSError as wrong:
            raise self._unreadable(wrong) from wrong

    def _files(self) -> Files:
        walk, found = _Walk(self.root.resolve()), list[VolumeFile]()
        for entry in walk.files(self._start()):
            if len(found) > MAX_FILES:
                break
            found.append(entry)
        left_out = (f"{self._place(name) if name else self._where} {why_not}" for name, why_not in walk.left_out)
        return Files(sorted(found), tuple(left_out))

    def _start(self) -> Path:
        """Return the folder that is read, without links; raises `OSError` and `UnreadableError`."""
        try:
            start = (self.root / self.folder).resolve(strict=True)
        except RuntimeError as loop:  # of links
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from loop
        if not start.is_relative_to(self.root.resolve()):
            raise UnreadableError(f"{self._where} leads out of the volume; correct path or the link")
        return start

    def read(self, pdfs: PdfTexts) -> Reading:
        """Return its documents, and which are not read and why; texts of PDFs are from `pdfs`.

        Raises `UnreadableError`, also if there are files and the file system lets none of them be read.
        """
        (files, left_out), documents, size, later = self.files(), list[Document](), 0, 0
        problems = list(left_out)
        failed: OSError | None = None
        transient = False
        if not files:
            problems.append(f"{self._where} has no documents; add files that end in {', '.join(ENDINGS)}")
            return Reading((), self._problems(files, problems, later))
        pdfs.begin()
        for file in files[:MAX_FILES]:
            try:
                text = self._text(file, MAX_BYTES - size, pdfs)
                documents.append(Document(f"{self.name}/{file.name}", text))
                size += len(text.encode())
            except NotYetError:
                later += 1
            except (OSError, ValueError) as wrong:
                problems.append(f"file {file.name} of volume claim {self.claim} is not read: {why(wrong)}")
                transient = transient or isinstance(wrong, OSError | TransientError)
                failed = wrong if _is_of_file_system(wrong) or isinstance(wrong, PermissionError) else failed
        if not documents and not later:
            self._none_read(failed)
        return Reading(tuple(documents), self._problems(files, problems, later), later > 0, transient=transient)

    def _none_read(self, failed: OSError | None) -> None:
        """Raise `UnreadableError` for what `failed`, or if the folder was removed while it was read."""
        if failed:
            raise self._unreadable(failed)
        try:
            self._start()
        except OSError as wrong:
            raise self._unreadable(wrong) from wrong

    def _unreadable(self, wrong: OSError) -> UnreadableError:
        if isinstance(wrong, FileNotFoundError | NotADirectoryError) and self.folder:
            return UnreadableError(f"{self._where} does not exist; create it or correct path")
        remedy = (
            "let group 10001 read it" if isinstance(wrong, PermissionError) else "see the file system of the volume"
        )
        return UnreadableError(f"{self._where} cannot be read: {why(wrong)}; {remedy}")

    def _text(self, file: VolumeFile, room: int, pdfs: PdfTexts) -> str:
        root = self.root.resolve()
        if not file.name.lower().endswith(PDF):
            return decoded(_content(root, file.path, min(MAX_DOCUMENT_BYTES, room)))
        text = _encodable(pdfs.text(file, lambda: _content(root, file.path, MAX_PDF_BYTES)))
        if len(text.encode()) > room:
            raise ValueError(f"the documents have more than {MAX_BYTES} bytes; divide them among claims")
        return text

    @property
    def _where(self) -> str:
        return self._place(self.folder)

    def _place(self, folder: str) -> str:
        return f"folder {folder} of volume claim {self.claim}" if folder else f"volume claim {self.claim}"

    def _problems(self, files: list[VolumeFile], problems: list[str], later: int) -> tuple[str, ...]:
        for problem in problems:
            logger.warning("Document left out: %s", problem)
        more = len(problems) - MAX_NAMED
        rest = f"{more} more files or folders of volume claim {self.claim} are not read; see the log"
        others = [rest] if more > 0 else []
        many = f"{self._where} has more than {MAX_FILES} documents, and the others are not read; divide them"
        pdfs = (
            [f"{later} PDFs of volume claim {self.claim} are not read yet; they follow by themselves"] if later else []
        )
        return (*problems[:MAX_NAMED], *others, *([many] if len(files) > MAX_FILES else []), *pdfs)


class _Walk:
    """Looks through the folders of a volume once."""

    def __init__(self, root: Path) -> None:
        self.left_out: list[tuple[str, str]] = []
        """What is not read, and a clause that has the cause and the remedy; empty: the folder that is read."""
        self._root = root
        self._room = MAX_ENTRIES

    def files(self, start: Path) -> Iterator[VolumeFile]:
        """Yield documents below `start`, in no order; hidden files and folders are none."""
        folders, seen = [(start, "", 0)], set[tuple[int, int]]()
        while folders and self._room >= 0:
            folder, prefix, depth = folders.pop()
            for entry in self._scanned(folder, prefix):
                hidden = entry.name.startswith(".") or entry.name == LOST_AND_FOUND
                target = None if hidden else _within(self._root, Path(entry.path))
                state = _state(target) if target else None
                if target is None or state is None:
                    continue
                name = f"{prefix}{entry.name}"
                if stat.S_ISDIR(state.st_mode) and (state.st_dev, state.st_ino) not in seen:
                    if depth < MAX_DEPTH:
                        seen.add((state.st_dev, state.st_ino))
                        folders.append((target, f"{name}/", depth + 1))
                    else:
                        self._leave_out(name, f"is not read: it is more than {MAX_DEPTH} folders deep; move it up")
                elif stat.S_ISREG(state.st_mode) and name.lower().endswith(ENDINGS):
                    yield VolumeFile(_encodable(name), target, (state.st_ino, state.st_mtime_ns, state.st_size))

    def _scanned(self, folder: Path, prefix: str) -> list[os.DirEntry[str]]:
        """Return what is in `folder`, as much as there is room for.

        Raises `OSError` if the file system fails, or if it is the first folder that cannot be read.
        """
        try:
            with os.scandir(folder) as entries:
                found = sorted(islice(entries, self._room + 1), key=lambda entry: entry.name)
        except OSError as wrong:
            if not prefix or _is_of_file_system(wrong):
                raise
            if isinstance(wrong, PermissionError):
                self._leave_out(prefix.rstrip("/"), f"is not read: {why(wrong)}; let group 10001 read it")
            return []
        room, self._room = self._room, self._room - len(found)
        if len(found) > room:
            many = f"has more than {MAX_ENTRIES} files and folders, and the others are not read; divide them"
            self.left_out.insert(0, ("", many))
        return found[:room]

    def _leave_out(self, name: str, why_not: str) -> None:
        self.left_out.append((_encodable(name), why_not))


def _encodable(text: str) -> str:
    """Return `text` with `?` for what UTF-8 has not: bytes of a name in another encoding, half a character of a PDF."""
    return text.encode(errors="replace").decode()


def _is_of_file_system(wrong: Exception) -> TypeGuard[OSError]:
    """Return whether the file system has failed, so that it is not known what there is."""
    return isinstance(wrong, OSError) and not isinstance(wrong, PermissionError) and wrong.errno not in GONE


def _state(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except OSError as wrong:
        if _is_of_file_system(wrong):
            raise
        return None


def _within(root: Path, path: Path) -> Path | None:
    """Return where `path` leads, without links; None: out of `root`, or nowhere."""
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError) as wrong:
        if _is_of_file_system(wrong):
            raise
        return None
    return target if target.is_relative_to(root) else None


def _content(root: Path, path: Path, limit: int) -> bytes:
    """Return a file's content; raises `OSError`, and `ValueError` for what is no document.

    Its place is known once it is open: between a look at a path and its opening, others could make a link of it.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123  # of a descriptor
        state = os.fstat(descriptor)
        if not Path(f"/proc/self/fd/{descriptor}").readlink().is_relative_to(root):
            raise ValueError("it leads out of the volume; copy it there")
        if not stat.S_ISREG(state.st_mode):
            raise ValueError("it is no file")
        if state.st_size > limit:
            raise ValueError(f"it has {state.st_size} bytes, and {limit} may be read; split it or divide the documents")
        return file.read(limit)
