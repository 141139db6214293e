"""Data of items is taken out and comes back byte for byte; what would not come back so stays where it is."""

import json
from base64 import b64encode
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from chatfleet_api.sessions.attached import BLANK, LEAST_CHARACTERS, LOST, data_size, parted, sizes_of, split, whole
from chatfleet_api.sessions.store import Attached, StoredMessage

DATA = bytes(range(256)) * 8
ENCODED = b64encode(DATA).decode()
URL = f"data:image/png;base64,{ENCODED}"
MANY = b64encode(DATA * 16).decode()
URL_OF_MANY = f"data:image/png;base64,{MANY}"
NOW = "2026-01-01T00:00:00.000+00:00"


def message(item: str) -> StoredMessage:
    return StoredMessage("id", "user", "hi", NOW, item=item)


def item_of(*parts: dict[str, Any]) -> str:
    return msgspec.json.encode({"type": "message", "role": "user", "content": parts}).decode()


def image(url: str = URL) -> dict[str, Any]:
    return {"type": "input_image", "image_url": url}


@pytest.mark.parametrize(
    "item",
    [
        item_of(image()),
        item_of(
            {"type": "input_text", "text": '日本 \\ ;base64, " é'},
            image(),
            image(),
            {"type": "input_text", "text": "x"},
        ),
        item_of(
            {"type": "input_file", "filename": "a.txt", "file_data": f"data:text/plain;charset=utf-8;base64,{ENCODED}"}
        ),
        f'{{ "type" : "message",\n "role":"user", "content":[{{"image_url": "{URL}"}}]  }}',
    ],
)
def test_data_comes_back_byte_for_byte_and_does_not_stay(item: str) -> None:
    stored, data = parted(message(item))

    assert data == {sha256(DATA).hexdigest(): DATA}
    assert ENCODED not in msgspec.json.encode(stored).decode()
    assert sizes_of([stored]) == {sha256(DATA).hexdigest(): len(DATA)}
    assert whole(stored, data) == message(item)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a.png",
        "data:image/png;base64," + "A" * (LEAST_CHARACTERS - 4),
        f"data:image/png;base64,{ENCODED[:-2]}==x",
        f"data:image/png;base64,{ENCODED[:1024]}\\/{ENCODED[1026:]}",
        "data:image/png;base64," + "A" * 1365 + "B==",  # bits that no encoder writes
        f"data:image/png,{ENCODED}",
        f"x;base64,{ENCODED}",
    ],
    ids=["address", "short", "invalid", "escaped", "not canonical", "no base64", "no data URL"],
)
def test_what_would_not_come_back_as_it_was_stays(url: str) -> None:
    item = message(item_of(image()).replace(URL, url))

    assert parted(item) == (item, {})


def test_a_message_without_an_item_is_not_looked_through() -> None:
    said = StoredMessage("id", "user", f'"{URL}"', NOW)

    assert parted(said) == (said, {})


@pytest.mark.parametrize("lengths", [(0,), (1,), (2, 3), (2000, 2001, 2002)])
def test_the_size_of_data_is_known_without_decoding_it(lengths: tuple[int, ...]) -> None:
    images = [image(f"data:image/png;base64,{b64encode(bytes(length)).decode()}") for length in lengths]
    assert data_size(item_of(*images, {"type": "input_text", "text": '";base64,AAAA'})) == sum(lengths)


@pytest.mark.parametrize(
    "value",
    [
        URL_OF_MANY.replace("/", "\\/"),
        URL_OF_MANY.replace("data:", "DATA:"),
        URL_OF_MANY.replace(";base64,", ";BASE64,"),
        URL_OF_MANY.replace("data:", "\\u0064ata:"),
        MANY,
        MANY.replace("+", "-").replace("/", "_"),
        MANY.replace("/", "\\/"),
        MANY.replace("A", "\\u0041"),
        "\\r\\n".join(MANY[at : at + 76] for at in range(0, len(MANY), 76)),
    ],
    ids=["slashes", "DATA", "BASE64", "head escaped", "raw", "for URLs", "raw slashes", "escaped", "lines"],
)
def test_the_size_of_data_in_any_other_form_is_known_but_for_its_first_characters(value: str) -> None:
    other = f'{{"type": "image_generation_call", "result": "{value}"}}'
    least = len(DATA) * 16 - LEAST_CHARACTERS

    assert least < data_size(other) <= len(value)
    assert least + len(DATA) < data_size(item_of(image(), {"x": 1}).replace('{"x":1}', other)) <= len(value) + len(DATA)


@pytest.mark.parametrize(
    "text",
    [
        "Hello world. " * 1000,
        "日本語。" * 1000,
        json.dumps("日本語。" * 1000)[1:-1],
        json.dumps(json.dumps([{"id": at} for at in range(1000)], separators=(",", ":")))[1:-1],
        "A" * (LEAST_CHARACTERS - 1),
    ],
    ids=["words", "no spaces", "escaped", "JSON", "short"],
)
def test_text_is_no_data(text: str) -> None:
    assert data_size(f'{{"role": "user", "content": "{text}"}}') == 0


def test_what_is_lost_becomes_a_text_so_that_the_conversation_goes_on() -> None:
    other = b64encode(DATA + b"other").decode()
    item = item_of(image(), {"type": "input_text", "text": "hi"}, image(f"data:image/gif;base64,{other}"))
    stored, data = parted(message(item))
    left = {digest: each for digest, each in data.items() if each != DATA}

    found = msgspec.json.decode(whole(stored, left).item)["content"]

    assert found[0] == {"type": "input_text", "text": LOST}
    assert found[1:] == msgspec.json.decode(item)["content"][1:]


@pytest.mark.parametrize(
    ("lost", "found"),
    [
        (
            {"output": {"type": "computer_screenshot", "image_url": URL}},
            {"type": "computer_screenshot", "image_url": BLANK},
        ),
        ({"output": URL}, LOST),
        ({"output": [{"type": "input_text", "text": URL}]}, [{"type": "input_text", "text": LOST}]),
        ({"output": [{"type": "image", "url": URL}]}, [{"type": "image", "url": BLANK}]),
        ({"output": [{"deeper": [image()]}]}, [{"deeper": [{"type": "input_text", "text": LOST}]}]),
        ({"output": {"text": "x;base64,", "of": URL}}, {"text": "x;base64,", "of": LOST}),
    ],
)
def test_what_is_lost_leaves_no_empty_data_url_wherever_it_was(lost: dict[str, Any], found: object) -> None:
    stored, _ = parted(message(msgspec.json.encode({"type": "computer_call_output", **lost}).decode()))

    assert msgspec.json.decode(whole(stored, {}).item)["output"] == found


def test_the_depth_of_an_item_does_not_matter_to_what_is_lost() -> None:
    deep = message('{"output":' + "[" * 900 + f'"{URL}"' + "]" * 900 + "}")

    assert f'"{LOST}"' in whole(parted(deep).message, {}).item


def test_places_are_those_of_characters_and_digests_have_one_width() -> None:
    stored, data = parted(message(item_of({"type": "input_text", "text": "日本"}, image())))
    (place,) = stored.attached

    assert isinstance(place, Attached)
    assert stored.item[: place.at].endswith(";base64,")
    assert split("".join(data).encode() * 2) == [*data, *data]
    assert split(None) == split(b"") == []
