"""Frames of event streams: cut anywhere, of any header, and never with a wrong checksum."""

import struct
import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.providers.vendors.bedrock.framing import EventStreamFraming
from harness.upstream.event_stream import event_frame, exception_frame, frame, oversized

EMPTY = bytes.fromhex("00000010 00000000 05c248eb 7d98c8ff")
"""The shortest frame: neither headers nor payload."""
DELTA = {"contentBlockIndex": 0, "delta": {"text": "Hi"}}


def fed(*parts: bytes) -> list[bytes]:
    framing = EventStreamFraming()
    return [payload for part in parts for payload in framing.feed(part)]


def raw_frame(headers: bytes, payload: bytes = b"{}") -> bytes:
    lengths = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    begun = lengths + struct.pack(">I", zlib.crc32(lengths)) + headers + payload
    return begun + struct.pack(">I", zlib.crc32(begun))


def test_a_payload_has_the_name_of_its_event() -> None:
    assert fed(event_frame("contentBlockDelta", DELTA)) == [msgspec.json.encode({"contentBlockDelta": DELTA})]
    assert fed(exception_frame("throttlingException", {"message": "Slow."})) == [
        b'{"throttlingException":{"message":"Slow."}}'
    ]


def test_an_error_without_a_type_has_its_code_and_message() -> None:
    headers = {":message-type": "error", ":error-code": "InternalError", ":error-message": "It\nbroke."}
    (payload,) = fed(frame(headers, b""))
    assert msgspec.json.decode(payload) == {
        "error": {"code": "InternalError", "message": "It\nbroke."},
        "payload": None,
    }


def test_the_frame_without_anything_is_an_event_without_a_name() -> None:
    assert fed(EMPTY) == [b'{"":null}']


@given(
    texts=st.lists(st.text(max_size=300), max_size=6),
    cuts=st.lists(st.integers(min_value=0, max_value=4_000), max_size=12),
)
def test_frames_are_the_same_wherever_the_bytes_are_cut(texts: list[str], cuts: list[int]) -> None:
    events = [event_frame("contentBlockDelta", {"delta": {"text": text}}) for text in texts]
    whole = b"".join(events)
    ends = sorted({min(cut, len(whole)) for cut in cuts} | {len(whole)})
    parts = [whole[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    assert fed(*parts) == fed(*events)
    assert [msgspec.json.decode(payload)["contentBlockDelta"]["delta"]["text"] for payload in fed(whole)] == texts


def test_a_long_frame_is_put_together_from_its_parts() -> None:
    text = "x" * 1_000_000
    whole = event_frame("contentBlockDelta", {"delta": {"text": text}}) * 2
    parts = [whole[at : at + 50_000] for at in range(0, len(whole), 50_000)]
    assert [len(payload) > len(text) for payload in fed(*parts)] == [True, True]


def test_headers_of_every_type_are_passed_over() -> None:
    values = {
        0: b"",
        1: b"",
        2: b"1",
        3: b"12",
        4: b"1234",
        5: b"12345678",
        6: b"\0\3abc",
        8: b"12345678",
        9: b"1" * 16,
    }
    headers = b"".join(bytes([1]) + b"h" + bytes([kind]) + value for kind, value in values.items())
    named = b"\x0b:event-type\x07\x00\x04ping"
    assert fed(raw_frame(headers + named)) == [b'{"ping":{}}']


@pytest.mark.parametrize("at", range(len(event_frame("ping", b"{}"))))
def test_no_byte_may_be_another(at: int) -> None:
    spoiled = bytearray(event_frame("ping", b"{}"))
    spoiled[at] ^= 0x10
    framing = EventStreamFraming()
    with pytest.raises(ChatError) as raised:
        assert framing.feed(bytes(spoiled)) == []
    assert raised.value.code is Code.UPSTREAM_MALFORMED


@pytest.mark.parametrize("at", range(8))
def test_a_wrong_length_is_noticed_before_its_bytes_come(at: int) -> None:
    spoiled = bytearray(event_frame("ping", b"{}" * 2_000)[:12])
    spoiled[at] ^= 1
    with pytest.raises(ChatError, match="the checksum of a prelude"):
        fed(bytes(spoiled))


@pytest.mark.parametrize(
    "wrong",
    [
        oversized(),
        raw_frame(b"\x04name\x07\x00\x09short"),
        raw_frame(b"\xff"),
        raw_frame(b"\x01h\x0a"),
        raw_frame(b"\x01\xff\x00"),
        struct.pack(">II", 15, 0) + struct.pack(">I", zlib.crc32(struct.pack(">II", 15, 0))) + b"...",
    ],
    ids=["of 1 GiB", "a cut value", "a cut name", "an unknown type", "no UTF-8", "too short"],
)
def test_what_is_no_frame_is_malformed(wrong: bytes) -> None:
    with pytest.raises(ChatError) as raised:
        fed(wrong)
    assert raised.value.code is Code.UPSTREAM_MALFORMED


def test_headers_that_are_always_new_are_not_kept() -> None:
    framing = EventStreamFraming()
    for number in range(1_000):
        assert framing.feed(event_frame(f"event-{number}", b"{}")) == [b'{"event-%d":{}}' % number]
    assert len(framing._kinds) <= 256  # noqa: SLF001  # memory has no other sign
