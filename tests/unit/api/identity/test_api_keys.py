"""API keys as Secrets have them: every form is read, and no message has a part of a key."""

import hashlib
import json
from datetime import UTC, datetime

import pytest

from chatfleet_api.identity.api_keys import KeyTable, UnusableKeyError, parse_key
from chatfleet_api.identity.credential import credential

KEY = "sk-chat-0123456789abcdef0123456789abcdef"
HASH = f"sha256:{hashlib.sha256(KEY.encode()).hexdigest()}"


@pytest.mark.parametrize("text", [KEY, f"{KEY}\n", HASH, json.dumps({"key": KEY}), json.dumps({"hash": HASH})])
def test_a_plain_key_and_its_hash_find_the_same_caller(text: str) -> None:
    table = KeyTable([parse_key(text, name="web", tenant="shop")], pepper=b"p")
    found = table.find(KEY.encode())

    assert found
    assert (found.principal.tenant, found.principal.subject, found.principal.user) == ("shop", "key:web", None)
    assert KEY not in repr(found)
    assert table.find(KEY.encode() + b"x") is None
    assert table.find(HASH.encode()) is None


def test_json_names_tenant_user_and_end() -> None:
    text = json.dumps({"hash": HASH, "tenant": "team-a", "user": "ann", "expires": "2026-01-31T00:00:00Z"})
    key = parse_key(text, name="web", tenant="shop")

    assert (key.principal.tenant, key.principal.user) == ("team-a", "ann")
    assert key.valid(datetime(2026, 1, 30, tzinfo=UTC))
    assert not key.valid(datetime(2026, 1, 31, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "24 to 512 printable"),
        ("short", "24 to 512 printable"),
        (f"{KEY} {KEY}", "24 to 512 printable"),
        ("sha256:abc", "64 lower-case hexadecimal"),
        (f"{{{KEY}", "no JSON object"),
        (json.dumps({"key": KEY, "hash": HASH}), "exactly one of key and hash"),
        (json.dumps({"tenant": "a"}), "exactly one of key and hash"),
        (json.dumps({"key": KEY, "role": "admin"}), "no JSON object"),
        (json.dumps({"key": KEY, "tenant": "a:b"}), "its tenant"),
        (json.dumps({"key": KEY, "tenant": "{a}"}), "its tenant"),
        (json.dumps({"key": KEY, "tenant": ""}), "its tenant"),
        (json.dumps({"key": KEY, "user": ""}), "its user"),
        (json.dumps({"key": KEY, "expires": "2026-01-31T00:00:00"}), "time zone"),
        (json.dumps({"key": KEY, "models": []}), "its models"),
        (json.dumps({"key": KEY, "models": [""]}), "its models"),
        (json.dumps({"key": KEY, "models": "m"}), "no JSON object"),
    ],
)
def test_what_is_no_key_is_refused_without_a_part_of_it(text: str, why: str) -> None:
    with pytest.raises(UnusableKeyError, match=why) as refused:
        parse_key(text, name="web", tenant="shop")

    assert KEY not in str(refused.value)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"authorization": "Bearer k"}, b"k"),
        ({"authorization": "bearer  k "}, b"k"),
        ({"authorization": "Basic k"}, None),
        ({"authorization": "Bearer "}, None),
        ({"x-api-key": "k"}, b"k"),
        ({"api-key": "k"}, b"k"),
        ({"authorization": "Bearer k", "x-api-key": "k"}, b"k"),
        ({"authorization": "Bearer k", "x-api-key": "other"}, None),
        ({"cookie": "k"}, None),
    ],
)
def test_a_credential_comes_in_three_headers(headers: dict[str, str], expected: bytes | None) -> None:
    assert credential((name.encode(), value.encode()) for name, value in headers.items()) == expected
