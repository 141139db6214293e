"""What is read of a pod's exposition, and what becomes of it with time."""

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from chatfleet_contract import metrics
from chatfleet_metrics.samples.sample import SERVED, History, Sample, parse_exposition


def test_the_series_of_a_real_exposition_are_summed_over_their_labels() -> None:
    registry = CollectorRegistry()
    Gauge(metrics.ACTIVE_STREAMS, "Streams.", registry=registry).set(37)
    Gauge(f"{metrics.ACTIVE_STREAMS}_more", "Another.", registry=registry).set(5)
    tokens = Counter(metrics.TOKENS_TOTAL, "TokenAuthenticator.", ["model", "type"], registry=registry)
    tokens.labels('odd "}" name', "input").inc(1.5)
    tokens.labels("plain", "output").inc(2e6)

    assert parse_exposition(generate_latest(registry)) == {
        metrics.ACTIVE_STREAMS: 37,
        metrics.TOKENS_TOTAL: 2_000_001.5,
    }


@pytest.mark.parametrize("value", ["", "many", "NaN", "+Inf"])
def test_a_value_that_is_no_number_is_refused(value: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        parse_exposition(f"{metrics.ACTIVE_STREAMS} {value}\n".encode())


def test_what_is_not_ours_says_nothing() -> None:
    assert parse_exposition(b"<html>\n\n# HELP chatfleet_active_streams x\nup 1\n") == {}


def tokens(at: float, count: float) -> Sample:
    return Sample(at, {metrics.TOKENS_TOTAL: count})


def idle(at: float) -> Sample:
    """Return a look at a pod that has not had any token: that counter has no series yet."""
    return Sample(at, {metrics.ACTIVE_STREAMS: 0})


@pytest.mark.parametrize(
    ("history", "rate"),
    [
        pytest.param(History(tokens(10, 100)), None, id="one look"),
        pytest.param(History(tokens(10, 100)).append(tokens(15, 600)), (100.0, 15, 5), id="two looks"),
        pytest.param(History(tokens(10, 100)).append(tokens(15, 100)), (0.0, 15, 5), id="idle"),
        pytest.param(History(tokens(10, 100)).append(tokens(15, 7)), None, id="restarted"),
        pytest.param(
            History(tokens(10, 100)).append(tokens(15, 7)).append(tokens(20, 17)),
            (2.0, 20, 5),
            id="restarted a while ago",
        ),
        pytest.param(History(tokens(10, 100)).append(Sample(15, {})), None, id="not reported"),
        pytest.param(History(idle(10)).append(idle(15)), (0.0, 15, 5), id="no token yet"),
        pytest.param(History(idle(10)).append(tokens(15, 10)), (2.0, 15, 5), id="the first tokens"),
        pytest.param(History(tokens(10, 100)).append(idle(15)), None, id="just restarted, and no token yet"),
        pytest.param(History(tokens(10, 100)).append(tokens(10, 100)), None, id="no time between"),
    ],
)
def test_tokens_per_second_are_the_rate_between_the_last_two_looks(
    history: History, rate: tuple[float, float, int] | None
) -> None:
    assert SERVED[metrics.TOKENS_PER_SECOND](history) == rate


def test_a_gauge_is_what_the_last_look_said() -> None:
    history = History(Sample(1, {metrics.ACTIVE_STREAMS: 3})).append(Sample(2, {metrics.ACTIVE_STREAMS: 0}))

    assert SERVED[metrics.ACTIVE_STREAMS](history) == (0, 2, 0)
    assert SERVED[metrics.QUEUED_REQUESTS](history) is None


@pytest.mark.parametrize(("now", "stale"), [(10, False), (25, False), (25.1, True)])
def test_a_sample_is_stale_after_three_periods(now: float, *, stale: bool) -> None:
    assert History(Sample(10, {})).is_stale(now, period=5) is stale
