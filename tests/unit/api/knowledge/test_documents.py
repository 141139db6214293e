"""Documents are the keys of mounted ConfigMaps; what cannot be read is named, and hides nothing else."""

from pathlib import Path

from chatfleet_api.knowledge.documents import MAX_DOCUMENT_BYTES, Document, Reading, read_documents


def mount(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files as the kubelet does: links to a version of the folder."""
    version = folder / "..2026"
    version.mkdir(parents=True)
    (folder / "..data").symlink_to(version.name)
    for name, content in files.items():
        (version / name).write_bytes(content)
        (folder / name).symlink_to(f"..data/{name}")
    return folder


def test_documents_come_in_the_order_of_folders_and_keys(tmp_path: Path) -> None:
    folders = {
        "policy": mount(tmp_path / "policy", {"b.md": b"B", "a.txt": "Ä".encode()}),
        "billing": mount(tmp_path / "billing", {"a.md": b"A"}),
    }
    reading = read_documents(folders)
    assert reading.documents == (
        Document("policy/a.txt", "Ä"),
        Document("policy/b.md", "B"),
        Document("billing/a.md", "A"),
    )
    assert reading.problems == ()


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    long = b"a" * (MAX_DOCUMENT_BYTES + 1)
    folders = {
        "missing": tmp_path / "missing",
        "empty": tmp_path / "empty",
        "mixed": mount(tmp_path / "mixed", {"a.md": b"A", "logo.png": b"\x89PNG\xff", "long": long}),
    }
    reading = read_documents(folders)
    assert [document.source for document in reading.documents] == ["mixed/a.md"]
    assert reading.problems == (
        "ConfigMap missing does not exist or has no keys; create it with documents",
        "ConfigMap empty does not exist or has no keys; create it with documents",
        "key logo.png of ConfigMap mixed is not read: it is not UTF-8; store it as text or Markdown",
        f"key long of ConfigMap mixed is not read: it has {len(long)} bytes, {MAX_DOCUMENT_BYTES} at most; split it",
    )


def test_a_digest_changes_with_what_was_read_alone() -> None:
    readings = [
        Reading((Document("a", "bc"),)),
        Reading((Document("ab", "c"),)),
        Reading((Document("a", "b"), Document("c", ""))),
        Reading(()),
    ]
    assert len({reading.digest() for reading in readings}) == len(readings)
    assert readings[0].digest() == Reading((Document("a", "bc"),), ("a problem",)).digest()
