"""What the fault proxy does to bytes, whatever pieces they come in."""

import pytest

from harness.faults.toxics import corrupted


@pytest.mark.parametrize("cut", range(13))
def test_corruption_strikes_the_same_bytes_wherever_they_are_cut(cut: int) -> None:
    data = bytes(range(12))
    turned = corrupted(data[:cut], 0, 5) + corrupted(data[cut:], cut, 5)
    assert [index for index, byte in enumerate(turned) if byte != data[index]] == [4, 9]


def test_without_corruption_nothing_is_touched() -> None:
    assert corrupted(b"abc", 7, None) == b"abc"
