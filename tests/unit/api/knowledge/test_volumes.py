"""Documents of a volume: files in folders, bounded, and none from outside of it."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.knowledge import pdf_texts
from chatfleet_api.knowledge import volumes as module
from chatfleet_api.knowledge.base import RETRY_SECONDS, KnowledgeBase
from chatfleet_api.knowledge.documents import MAX_DOCUMENT_BYTES, UnreadableError
from chatfleet_api.knowledge.pdf_texts import PdfTexts
from chatfleet_api.knowledge.volumes import Volume
from chatfleet_contract.names import KNOWLEDGE_VOLUMES
from chatfleet_contract.spec.knowledge import DocumentsRef, Knowledge, Source, VolumeClaimRef

QUESTION = ["How are refunds paid?"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / KNOWLEDGE_VOLUMES / "docs"
    folder.mkdir(parents=True)
    return folder


def write(root: Path, **texts: str) -> None:
    """Write files; `__` is a slash, and `_` the dot of an ending."""
    for name, text in texts.items():
        file = root / name.replace("__", "/").replace("_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def sources(volume: Volume) -> list[str]:
    return [document.source for document in volume.read(PdfTexts()).documents]


def test_files_with_an_ending_of_a_text_are_documents_in_folders_of_any_depth(root: Path) -> None:
    write(root, b_md="B", a__c__d_txt="D", a__b_MARKDOWN="M", logo_png="no", a___hidden__x_md="no", notes="no")
    assert sources(Volume("docs", root)) == ["docs/a/b.MARKDOWN", "docs/a/c/d.txt", "docs/b.md"]
    assert sources(Volume("docs", root, "a/c")) == ["docs/a/c/d.txt"]


def test_a_link_leads_within_the_volume_and_no_further(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    write(outside, secret_md="secret", folder__more_md="secret")
    write(root, _versions__1__a_md="A")
    (root / "current").symlink_to(".versions/1")
    (root / "stolen.md").symlink_to(outside / "secret.md")
    (root / "stolen").symlink_to("../../outside")
    (root / "loop").symlink_to(".")
    (root / "nowhere.md").symlink_to("missing")
    reading = Volume("docs", root).read(PdfTexts())
    assert [document.source for document in reading.documents] == ["docs/current/a.md"]
    assert reading.problems == ()
    assert sources(Volume("docs", root, "current")) == ["docs/current/a.md"]
    for folder in ("stolen", "../../outside"):
        with pytest.raises(UnreadableError, match=f"folder {folder} of volume claim docs leads out of the volume"):
            Volume("docs", root, folder).read(PdfTexts())


def test_a_file_that_becomes_a_link_before_it_is_opened_is_not_read(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, secret_md="secret", outside__a_md="secret")
    write(root, a_md="A", b__a_md="A")
    files, ours = Volume("docs", root).files(), Volume.files

    def swapped(volume: Volume) -> module.Files:
        assert ours(volume) == files
        (root / "a.md").unlink()
        (root / "a.md").symlink_to(tmp_path / "secret.md")
        (root / "b" / "a.md").unlink()
        (root / "b").rmdir()
        (root / "b").symlink_to(tmp_path / "outside")
        return files

    monkeypatch.setattr(Volume, "files", swapped)
    reading = Volume("docs", root).read(PdfTexts())
    assert reading.documents == ()
    assert "file b/a.md of volume claim docs is not read: it leads out of the volume" in str(reading.problems)


def test_what_is_no_file_is_not_waited_for(root: Path) -> None:
    os.mkfifo(root / "pipe.md")
    write(root, a_md="A")
    assert sources(Volume("docs", root)) == ["docs/a.md"]


def test_number_and_size_are_bounded_and_what_is_left_out_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(root, a_md="A", b_md="B" * (MAX_DOCUMENT_BYTES + 1))
    (root / "c.md").write_bytes(b"\xff")
    reading = Volume("docs", root).read(PdfTexts())
    assert [document.source for document in reading.documents] == ["docs/a.md"]
    large, other = reading.problems
    assert large.startswith(f"file b.md of volume claim docs is not read: it has {MAX_DOCUMENT_BYTES + 1} bytes, and")
    assert other == "file c.md of volume claim docs is not read: it is not UTF-8; store it as text or Markdown"
    monkeypatch.setattr(module, "MAX_FILES", 1)
    (problem,) = Volume("docs", root).read(PdfTexts()).problems
    assert problem.startswith("volume claim docs has more than 1 documents")
    monkeypatch.setattr(module, "MAX_FILES", 9)
    monkeypatch.setattr(module, "MAX_BYTES", 1)
    write(root, d_md="D", e_md="E", f_md="F")
    many = Volume("docs", root).read(PdfTexts())
    assert [document.source for document in many.documents] == ["docs/a.md"]
    assert many.problems[-1] == "2 more files or folders of volume claim docs are not read; see the log"


def test_a_volume_without_documents_is_named(root: Path) -> None:
    (problem,) = Volume("docs", root).read(PdfTexts()).problems
    assert problem == "volume claim docs has no documents; add files that end in .md, .markdown, .txt, .pdf"
    (root / "handbook").mkdir()
    (problem,) = Volume("docs", root, "handbook").read(PdfTexts()).problems
    assert problem.startswith("folder handbook of volume claim docs has no documents")


@pytest.mark.parametrize(
    ("folder", "why"),
    [
        ("missing", "folder missing of volume claim docs does not exist; create it or correct path"),
        ("a.md", "folder a.md of volume claim docs does not exist; create it or correct path"),
        ("a.md/b", "folder a.md/b of volume claim docs does not exist; create it or correct path"),
        ("loop", "folder loop of volume claim docs cannot be read: Too many levels of symbolic links; see the"),
    ],
)
def test_a_folder_that_does_not_exist_cannot_be_read(root: Path, folder: str, why: str) -> None:
    write(root, a_md="A")
    (root / "loop").symlink_to("loop")
    for look in (Volume("docs", root, folder).files, lambda: Volume("docs", root, folder).read(PdfTexts())):
        with pytest.raises(UnreadableError) as wrong:
            look()
        assert str(wrong.value).startswith(why)


def test_a_volume_that_is_not_mounted_cannot_be_read(root: Path) -> None:
    root.rmdir()
    with pytest.raises(UnreadableError, match="volume claim docs cannot be read: No such file or directory; see the"):
        Volume("docs", root).read(PdfTexts())


@pytest.mark.parametrize("call", ["scandir", "lstat", "open"])
def test_a_volume_of_which_nothing_may_be_read_cannot_be_read(
    root: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    write(root, a__b_md="B")
    ours, denied = getattr(os, call), root / ("a/b.md" if call == "open" else "a")

    def failing(path: object, *given: object, **named: object) -> object:
        if str(path) == str(denied):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return ours(path, *given, **named)

    monkeypatch.setattr(os, call, failing)
    with pytest.raises(UnreadableError, match="folder a of volume claim docs cannot be read: Permission denied; let"):
        Volume("docs", root, "a").read(PdfTexts())


async def test_a_folder_that_goes_leaves_the_version_before_unless_that_has_no_documents(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, a__a_md="Refunds by card.")
    claim = VolumeClaimRef(name="docs", path="a")
    base, problem = KnowledgeBase(Knowledge(sources=[Source(volume_claim_ref=claim)]), tmp_path), "folder a of volume"
    ours = Volume.files

    async def found() -> list[str]:
        await base.refresh()
        return [each.source for each in (await base.passages(QUESTION)).retrieved]

    def removed(volume: Volume) -> module.Files:
        files = ours(volume)
        (root / "a" / "a.md").unlink()
        (root / "a").rmdir()
        return files

    assert await found() == ["docs/a/a.md"]
    (root / "a" / "a.md").touch()
    monkeypatch.setattr(Volume, "files", removed)
    assert await found() == ["docs/a/a.md"]
    monkeypatch.undo()
    assert await found() == ["docs/a/a.md"]
    assert [*base.problems] == [f"{problem} claim docs does not exist; create it or correct path"]
    (root / "a").mkdir()
    assert await found() == []
    assert str(base.problems[0]).startswith(f"{problem} claim docs has no documents; add files")
    (root / "a").rmdir()
    with pytest.raises(ChatError) as refused:
        await found()
    assert refused.value.code is Code.KNOWLEDGE_UNAVAILABLE


async def test_a_base_has_config_maps_and_volumes_and_follows_both(root: Path, tmp_path: Path) -> None:
    write(tmp_path, desk__a_md="Refunds by card.")
    write(root, team__refunds_md="Refunds take five days.", other_md="Refunds: none.")
    claim = VolumeClaimRef(name="docs", path="team")
    order = [Source(volume_claim_ref=claim), Source(config_map_ref=DocumentsRef(name="desk"))]
    base = KnowledgeBase(Knowledge(sources=order), tmp_path)

    async def found() -> set[str]:
        return {each.source for each in (await base.passages(QUESTION)).retrieved}

    assert await found() == {"docs/team/refunds.md", "desk/a.md"}
    write(root, team__more_md="Refunds are rare.")
    await base.refresh()
    assert await found() == {"docs/team/refunds.md", "docs/team/more.md", "desk/a.md"}
    (root / "team" / "refunds.md").unlink()
    await base.refresh()
    assert await found() == {"docs/team/more.md", "desk/a.md"}
    assert not base.problems


async def test_what_utf_8_has_not_is_replaced_in_names_and_texts(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / os.fsdecode(b"r\xe9sum\xe9.md")).write_text("Refunds by card.")
    (root / os.fsdecode(b"\xe9.md")).write_bytes(b"\xff")
    (root / "a.pdf").write_bytes(b"")
    monkeypatch.setattr(pdf_texts, "_text", lambda _: "Refunds \ud800.")
    base = KnowledgeBase(Knowledge(sources=[Source(volume_claim_ref=VolumeClaimRef(name="docs"))]), tmp_path)
    found = (await base.passages(QUESTION)).retrieved
    assert {(each.source, each.text) for each in found} == {
        ("docs/r?sum?.md", "Refunds by card."),
        ("docs/a.pdf", "Refunds ?."),
    }
    assert [*base.problems] == [
        "file ?.md of volume claim docs is not read: it is not UTF-8; store it as text or Markdown"
    ]


@pytest.mark.parametrize("call", ["scandir", "lstat", "stat", "open"])
async def test_a_file_system_that_fails_leaves_the_version_before(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    write(root, a_md="Refunds by card.")
    knowledge = Knowledge(sources=[Source(volume_claim_ref=VolumeClaimRef(name="docs"))])
    base, ours = KnowledgeBase(knowledge, tmp_path), getattr(os, call)
    await base.refresh()
    write(root, b_md="Refunds are rare.")

    def failing(path: object, *given: object, **named: object) -> object:
        if str(path).startswith(str(root)):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return ours(path, *given, **named)

    async def found(base: KnowledgeBase) -> set[str]:
        return {each.source for each in (await base.passages(QUESTION)).retrieved}

    monkeypatch.setattr(os, call, failing)
    await base.refresh()
    assert await found(base) == {"docs/a.md"}
    problem = "volume claim docs cannot be read: Stale file handle; see the file system of the volume"
    assert [*base.problems] == [problem]
    with pytest.raises(ChatError) as refused:
        await found(KnowledgeBase(knowledge, tmp_path))
    assert (refused.value.code, refused.value.detail) == (Code.KNOWLEDGE_UNAVAILABLE, problem)
    monkeypatch.undo()
    await base.refresh()
    assert await found(base) == {"docs/a.md", "docs/b.md"}
    assert not base.problems


async def test_a_file_that_cannot_be_read_is_tried_again_after_a_pause(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, a_md="Refunds by card.", b_md="Refunds are rare.")
    now, ours, opened = 0.0, os.open, list[str]()
    knowledge = Knowledge(sources=[Source(volume_claim_ref=VolumeClaimRef(name="docs"))])
    base = KnowledgeBase(knowledge, tmp_path, clock=lambda: now)

    def failing(path: Path, flags: int) -> int:
        opened.append(path.name)
        if path.name == "b.md" and len(opened) == 2:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return ours(path, flags)

    async def found() -> set[str]:
        await base.refresh()
        return {each.source for each in (await base.passages(QUESTION)).retrieved}

    monkeypatch.setattr(os, "open", failing)
    assert await found() == {"docs/a.md"}
    assert [*base.problems] == ["file b.md of volume claim docs is not read: Input/output error"]
    assert await found() == {"docs/a.md"}
    assert opened == ["a.md", "b.md"]
    now = RETRY_SECONDS
    assert await found() == {"docs/a.md", "docs/b.md"}
    assert not base.problems
    now = 2 * RETRY_SECONDS
    await found()
    assert len(opened) == 4


async def test_folders_that_are_left_out_are_named_also_if_no_document_has_changed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, a_md="Refunds by card.", b__c__d_md="Refunds are rare.")
    (root / "lost+found").mkdir()
    base = KnowledgeBase(Knowledge(sources=[Source(volume_claim_ref=VolumeClaimRef(name="docs"))]), tmp_path)
    await base.refresh()
    assert not base.problems
    (root / "e").mkdir()
    ours = os.scandir

    def denied(folder: Path) -> object:
        if folder.name in {"e", "lost+found"}:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return ours(folder)

    monkeypatch.setattr(os, "scandir", denied)
    await base.refresh()
    assert [*base.problems] == ["folder e of volume claim docs is not read: Permission denied; let group 10001 read it"]
    monkeypatch.undo()
    monkeypatch.setattr(module, "MAX_DEPTH", 1)
    await base.refresh()
    assert [*base.problems] == [
        "folder b/c of volume claim docs is not read: it is more than 1 folders deep; move it up"
    ]


def test_no_more_entries_are_looked_at_than_the_bound(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(root, **{f"{name}_md": name for name in "abcdefgh"})
    ours, seen = os.scandir, list[os.DirEntry[str]]()

    def noted(entry: os.DirEntry[str]) -> os.DirEntry[str]:
        seen.append(entry)
        return entry

    @contextmanager
    def counted(folder: Path) -> Iterator[Iterator[os.DirEntry[str]]]:
        with ours(folder) as entries:
            yield map(noted, entries)

    monkeypatch.setattr(os, "scandir", counted)
    monkeypatch.setattr(module, "MAX_ENTRIES", 8)
    assert not Volume("docs", root).files().left_out
    seen.clear()
    monkeypatch.setattr(module, "MAX_ENTRIES", 3)
    reading = Volume("docs", root).read(PdfTexts())
    assert (len(reading.documents), len(seen)) == (3, 4)
    assert reading.problems == (
        "volume claim docs has more than 3 files and folders, and the others are not read; divide them",
    )
