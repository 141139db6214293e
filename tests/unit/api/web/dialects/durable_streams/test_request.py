"""Offsets, modes and cursors of reads."""

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.web.dialects.durable_streams.request import ReadRequest, next_cursor, offset_of, read_request


@pytest.mark.parametrize(
    ("query", "request_"),
    [
        ({}, ReadRequest(0)),
        ({"offset": "-1"}, ReadRequest(0)),
        ({"offset": "now", "live": "sse"}, ReadRequest(None, "sse")),
        ({"offset": offset_of(7), "live": "long-poll", "cursor": "3"}, ReadRequest(7, "long-poll", 3)),
    ],
)
def test_a_read_begins_at_its_offset(query: dict[str, str], request_: ReadRequest) -> None:
    assert read_request(query) == request_


@pytest.mark.parametrize(
    ("query", "param"),
    [
        *(({"offset": offset}, "offset") for offset in ("", "7", "-2", "0" * 17, "NOW", f"{7:>16}", "1" * 15 + "²")),
        ({"live": "sse"}, "offset"),
        ({"offset": "-1", "live": "true"}, "live"),
        ({"offset": "-1", "live": "sse", "cursor": "x"}, "cursor"),
    ],
)
def test_what_is_malformed_is_refused_by_its_name(query: dict[str, str], param: str) -> None:
    with pytest.raises(ChatError) as refused:
        read_request(query)
    assert (refused.value.code, refused.value.param) == (Code.INVALID_REQUEST, param)


def test_offsets_sort_as_text() -> None:
    offsets = [offset_of(seq) for seq in (0, 1, 9, 10, 99, 100, 10**15)]
    assert offsets == sorted(offsets)


def test_a_cursor_is_later_than_the_one_before() -> None:
    assert [next_cursor(None), next_cursor(1), next_cursor(41)] == ["1", "2", "42"]
