"""Bytes of an event stream become payloads, wherever they were cut."""

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.http.sse import LONG_EVENT_BYTES, MAX_EVENT_BYTES, EventReader

STREAM = (
    b"\xef\xbb\xbf: a comment\n\n"
    b'data: {"a":"\xc3\xbc"}\n\n'
    b"event: named\nid: 7\nretry: 10\ndata: first\ndata:second\ndata:  third\n\n"
    b"\n\nevent: nothing to say\n\n"
    b"data\n\n"
    b"data:\n\n"
    b"data: [DONE]\n\n"
    b"data: cut off"
)
PAYLOADS = [b'{"a":"\xc3\xbc"}', b"first\nsecond\n third", b"", b"", b"[DONE]"]
NEWLINES = pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])


def read(*parts: bytes) -> list[bytes]:
    reader = EventReader()
    return [payload for part in parts for payload in reader.feed(part)]


@NEWLINES
def test_a_stream_gives_its_payloads(newline: bytes) -> None:
    assert read(STREAM.replace(b"\n", newline)) == PAYLOADS


@NEWLINES
def test_a_stream_may_be_cut_in_two_at_any_byte(newline: bytes) -> None:
    stream = STREAM.replace(b"\n", newline)
    for at in range(len(stream) + 1):
        assert read(stream[:at], stream[at:]) == PAYLOADS


@NEWLINES
def test_a_stream_may_come_byte_by_byte(newline: bytes) -> None:
    assert read(*(bytes([byte]) for byte in STREAM.replace(b"\n", newline))) == PAYLOADS


def test_a_mark_is_dropped_at_the_beginning_only() -> None:
    assert read(b"\xef\xbb\xbfdata: \xef\xbb\xbf\n\n") == [b"\xef\xbb\xbf"]
    assert read(b"\xef", b"\xbb", b"\xbfdata: a\n\n") == [b"a"]


def test_an_event_without_an_end_is_not_collected_for_ever() -> None:
    reader = EventReader()
    reader.feed(b"x" * MAX_EVENT_BYTES)
    with pytest.raises(ChatError) as caught:
        reader.feed(b"x")
    assert caught.value.code is Code.UPSTREAM_MALFORMED


@pytest.mark.parametrize("size", [1, 1_000, LONG_EVENT_BYTES - 1, LONG_EVENT_BYTES, LONG_EVENT_BYTES + 7])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_an_event_of_megabytes_is_read_however_it_is_cut(size: int, newline: bytes) -> None:
    long = b"x" * (size * 3 + 2_000_000 // (2 if size < LONG_EVENT_BYTES else 1))
    stream = b"".join(b"data: " + payload + newline * 2 for payload in (b"a", long, b"b"))
    step = max(size, 997)
    assert read(*(stream[at : at + step] for at in range(0, len(stream), step))) == [b"a", long, b"b"]
    assert read(stream[:-1], stream[-1:]) == [b"a", long, b"b"]
