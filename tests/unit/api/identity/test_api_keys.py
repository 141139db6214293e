"""API keys as Secrets have them: every form is read, and no message has a part of a key."""

import hashlib
import json
from datetime import UTC, datetime

import pytest

from chatfleet_api.domain.key_limits import KeyLimits
from chatfleet_api.identity.api_keys import KeyTable, UnusableKeyError, parse_key
from chatfleet_api.identity.credential import credential
from chatfleet_contract.spec.limits import Budget, Limit

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


def test_json_sets_limits_and_a_budget_of_its_own() -> None:
    budget = {"usdPerDay": "5", "usdPerMonth": "0.50", "tokensPerDay": 9}
    limits = {"requestsPerMinute": 1, "tokensPerMinute": 2, "concurrentStreams": 3}
    own = parse_key(json.dumps({"hash": HASH, **limits, "budget": budget}), name="web", tenant="shop").own

    assert own == KeyLimits(
        Limit(requests_per_minute=1, tokens_per_minute=2, concurrent_streams=3),
        Budget(usd_per_day="5", usd_per_month="0.50", tokens_per_day=9),
    )
    assert parse_key(json.dumps({"hash": HASH, "budget": None}), name="web", tenant="shop").own is None


def test_keys_of_one_name_and_tenant_have_the_smaller_of_their_limits() -> None:
    first = {"requestsPerMinute": 10, "budget": {"usdPerDay": "10", "tokensPerDay": 5}}
    second = {"requestsPerMinute": 20, "concurrentStreams": 2, "budget": {"usdPerDay": "9.5"}}
    texts = [json.dumps({"key": f"{KEY}{number}", **own}) for number, own in enumerate((first, second, {}))]
    table = KeyTable([parse_key(each, name="web", tenant="shop") for each in texts], pepper=b"p")

    (own,) = table.limits.values()
    assert table.limits.keys() == {("shop", "key:web")}
    assert own.limit
    assert (own.limit.requests_per_minute, own.limit.concurrent_streams) == (10, 2)
    assert own.budget == Budget(usd_per_day="9.5", tokens_per_day=5)


_WHOLE = "must be a whole number from 1 to"
_BUDGET = "its budget must be an object with one or more of usdPerDay, usdPerMonth, tokensPerDay, and no others"


@pytest.mark.parametrize(
    ("own", "why"),
    [
        ({"requestsPerMinute": 0}, f"its requestsPerMinute {_WHOLE} 1,000,000"),
        ({"requestsPerMinute": "60"}, f"its requestsPerMinute {_WHOLE} 1,000,000"),
        ({"requestsPerMinute": 60.5}, f"its requestsPerMinute {_WHOLE} 1,000,000"),
        ({"requestsPerMinute": True}, f"its requestsPerMinute {_WHOLE} 1,000,000"),
        ({"tokensPerMinute": 10**10}, f"its tokensPerMinute {_WHOLE} 1,000,000,000"),
        ({"concurrentStreams": -1}, f"its concurrentStreams {_WHOLE} 1,000,000"),
        ({"concurrentStreams": [1]}, f"its concurrentStreams {_WHOLE} 1,000,000"),
        ({"requestPerMinute": 1}, "it is no JSON object of the fields that a key may have"),
        ({"budget": {}}, _BUDGET),
        ({"budget": "5"}, _BUDGET),
        ({"budget": {"usdPerDay": "5", "usdPerWeek": "5"}}, _BUDGET),
        (
            {"budget": {"usdPerDay": 5}},
            'its budget.usdPerDay must be a decimal number of USD in quotes, such as "0.40"',
        ),
        ({"budget": {"usdPerMonth": "-1"}}, "its budget.usdPerMonth must be a decimal number"),
        ({"budget": {"usdPerMonth": None}}, "its budget.usdPerMonth must be a decimal number"),
        ({"budget": {"tokensPerDay": 0}}, f"its budget.tokensPerDay {_WHOLE} 1,000,000,000,000"),
    ],
)
def test_a_key_with_malformed_limits_is_refused(own: dict[str, object], why: str) -> None:
    with pytest.raises(UnusableKeyError) as refused:
        parse_key(json.dumps({"key": KEY, **own}), name="web", tenant="shop")

    assert str(refused.value).startswith(why)


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
