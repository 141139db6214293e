"""Large data is worked on beside the event loop, in pieces that come out as the whole does."""

import threading
from base64 import b64encode

import pytest

from chatfleet_api.domain.large import LARGE_BYTES, PIECE_BYTES, from_base64, off_loop, to_base64


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES + 5])
def test_pieces_of_base64_add_up(size: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)

    assert to_base64(data) == b64encode(data).decode()
    assert from_base64(to_base64(data)) == data


@pytest.mark.parametrize("text", ["A", "A===", "AA==AAAA", "@@@@", "é===", to_base64(bytes(PIECE_BYTES - 1)) + "AAAA"])
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        from_base64(text)


async def test_only_work_on_large_data_has_a_thread() -> None:
    assert await off_loop(LARGE_BYTES - 1, threading.current_thread) is threading.current_thread()
    assert await off_loop(LARGE_BYTES, threading.current_thread) is not threading.current_thread()
