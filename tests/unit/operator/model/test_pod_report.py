"""What a pod answers is read with bounds: nothing in it can break the status of the ChatDeployment."""

import json
from typing import Any

import pytest

from chatfleet_operator.model.errors import MAX_MESSAGE
from chatfleet_operator.model.pod_report import MAX_STREAMS, MAX_TOKENS, MAX_TOKENS_PER_SECOND, parse_report
from harness.kube.operated_cluster import pod_report

WELL = pod_report("support-0", "abc")
LONG = "x" * 900_000


def body(**changes: Any) -> bytes:  # noqa: ANN401  # JSON
    return json.dumps({**WELL.document(), **changes}).encode()


def test_a_report_in_bounds_stays_as_it_is() -> None:
    assert parse_report(body()) == WELL


@pytest.mark.parametrize("rate", [b"1e400", b"1e999999", b"Infinity", b"NaN", b"-1e400"])
def test_a_rate_that_is_no_number_is_never_summed(rate: bytes) -> None:
    parsed = parse_report(body(tokensPerSecond=0).replace(b'"tokensPerSecond": 0', b'"tokensPerSecond": ' + rate))

    assert parsed is None or parsed.tokens_per_second is None


def test_counts_are_bounded() -> None:
    parsed = parse_report(body(activeStreams=10**30, maxStreams=10**30, tokensPerSecond=1e300))

    assert parsed
    assert (parsed.active_streams, parsed.max_streams) == (MAX_STREAMS, MAX_STREAMS)
    assert parsed.tokens_per_second == MAX_TOKENS_PER_SECOND


def test_texts_are_one_short_line() -> None:
    down = {"state": "down", "message": LONG}
    parsed = parse_report(
        body(
            pod=LONG,
            version=LONG,
            configError="a\x1b[31m\nb",
            redis=down,
            redisUrlError=LONG,
            upstreams={"scripted": down},
        )
    )

    assert parsed
    assert parsed.config_error == "a [31m b"
    assert parsed.redis
    texts = (
        parsed.pod,
        parsed.version,
        parsed.redis.message,
        parsed.redis_url_error,
        parsed.upstreams["scripted"].message,
    )
    assert {len(text or "") for text in texts} == {MAX_MESSAGE}


@pytest.mark.parametrize(
    "malformed",
    [
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"pod": "a", "version": "1", "config": "c", "activeStreams": ' + b"9" * 5000 + b"}",
        b'{"pod": "a", "version": "1", "config": "\\ud800"}',
        b'{"pod": "a", "version": "1", "config": "c", "activeStreams": 1e400}',
        b'{"pod": "a", "version": "1", "config": "c", "activeStreams": -1}',
        b'{"pod": "a", "version": "1", "config": "c", "upstreams": [1]}',
    ],
)
def test_any_other_body_is_no_report_or_one_in_bounds(malformed: bytes) -> None:
    parsed = parse_report(malformed)

    assert parsed is None or (parsed.active_streams == MAX_STREAMS and parsed.pod == "a")


def test_sums_of_a_day_are_bounded_and_no_amount_is_no_sum() -> None:
    day = {"day": "2026-11-28", "inputTokens": 10**30, "outputTokens": 1, "costUSD": "0.5"}
    parsed = parse_report(body(usage=day))
    assert parsed
    assert parsed.usage
    assert (parsed.usage.input_tokens, parsed.usage.cost_usd) == (MAX_TOKENS, "0.5")
    for wrong in ({"costUSD": "NaN"}, {"costUSD": "1" * 100}, {"day": "today"}):
        parsed = parse_report(body(usage=day | wrong))
        assert parsed
        assert parsed.usage is None
