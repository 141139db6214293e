"""A key is whatever its file holds now."""

import os
from pathlib import Path

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.providers.credentials import FileCredential


def plain(credential: FileCredential) -> str:
    key = credential.read()
    assert key is not None
    return key.get_secret_value()


def test_no_file_means_no_key() -> None:
    assert FileCredential(None).read() is None


def test_a_key_is_read_without_the_whitespace_around_it(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(" abc\n")
    assert plain(FileCredential(str(path))) == "abc"


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("one")
    key = FileCredential(str(path))
    assert plain(key) == "one"
    path.write_text("three")
    assert plain(key) == "three"


def test_a_link_that_points_elsewhere_is_a_changed_file(tmp_path: Path) -> None:
    """This is how Kubernetes changes a mounted Secret."""
    link = tmp_path / "key"
    for name, text in (("a", "one"), ("b", "two")):
        (tmp_path / name).write_text(text)
        os.utime(tmp_path / name, (0, 0))
    link.symlink_to("a")
    key = FileCredential(str(link))
    assert plain(key) == "one"
    link.unlink()
    link.symlink_to("b")
    assert plain(key) == "two"


def test_a_forgotten_key_is_read_again_even_if_its_file_looks_the_same(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("one")
    os.utime(path, (0, 0))
    key = FileCredential(str(path))
    assert plain(key) == "one"
    path.write_text("two")
    os.utime(path, (0, 0))
    assert plain(key) == "one"
    key.forget()
    assert plain(key) == "two"


@pytest.mark.parametrize("text", [None, "", "\n", "two\nlines", "schlüssel", b"\xff\xfe"])
def test_a_key_that_cannot_be_sent_names_its_file_to_the_operator(tmp_path: Path, text: str | bytes | None) -> None:
    path = tmp_path / "key"
    if isinstance(text, str):
        path.write_text(text)
    elif text is not None:
        path.write_bytes(text)
    with pytest.raises(ChatError) as caught:
        FileCredential(str(path)).read()
    assert caught.value.code is Code.UPSTREAM_AUTHENTICATION
    assert str(path) in (caught.value.detail or "")
    assert str(path) not in caught.value.message


def test_a_key_is_not_shown_where_an_object_is_printed(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("abc")
    assert "abc" not in repr(FileCredential(str(path)).read())
