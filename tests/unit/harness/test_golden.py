"""Golden files: a difference names the file and the command."""

from pathlib import Path

import pytest

from harness.golden import COMMAND, expect


@pytest.mark.parametrize("golden", ["a: 1\n", None])
def test_a_difference_names_the_file_and_the_command_and_shows_the_lines(tmp_path: Path, golden: str | None) -> None:
    file = tmp_path / "child.yaml"
    if golden is not None:
        file.write_text(golden)
    with pytest.raises(AssertionError) as failed:
        expect("a: 2\n", file)
    assert str(file) in str(failed.value)
    assert COMMAND in str(failed.value)
    assert "+a: 2" in str(failed.value)


def test_equal_text_passes(tmp_path: Path) -> None:
    file = tmp_path / "child.yaml"
    file.write_text("a: 1\n")
    expect("a: 1\n", file)
