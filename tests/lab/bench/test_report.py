"""From figures to the page: pure."""

import msgspec
import pytest

from chatfleet_lab.bench.measure import Figures, typical
from chatfleet_lab.bench.profile import OTHERS, grouped
from chatfleet_lab.bench.report import REFERENCE_YARDSTICK_US, Outcome, Result, page
from chatfleet_lab.bench.workload import Workload
from harness.upstream.script import read_question


def make_figures(**changed: float | None) -> Figures:
    fields = dict.fromkeys(Figures.__struct_fields__, 1.0)
    return msgspec.convert({**fields, **changed}, Figures)


def make_result(*, slower: float = 1.0, **changed: float | None) -> Result:
    return Result(
        date="2026-11-21",
        rounds=3,
        machine={"processor": "abacus"},
        yardstick_us=REFERENCE_YARDSTICK_US * slower,
        import_s=0.1,
        outcomes=[
            Outcome("direct", "no server between", make_figures()),
            Outcome("chatfleet", "Chatfleet", make_figures(**changed)),
            Outcome("litellm", "LiteLLM 1", make_figures(streams_per_core_s=0.5)),
        ],
        profile={"`chat/`": 0.25},
    )


def test_a_missed_target_is_called_missed() -> None:
    assert "| CPU per streamed token | ≤ 40 µs | 50.00 | 50.00 | **no**, 1.2 times |" in page(
        make_result(cpu_per_token_us=50)
    )


def test_times_are_compared_at_the_speed_of_the_machine_of_the_targets() -> None:
    text = page(make_result(slower=2, cpu_per_token_us=50, idle_mb=90))
    assert "| CPU per streamed token | ≤ 40 µs | 50.00 | 25.00 | yes |" in text
    assert "| memory, idle | ≤ 70 MB | 90.00 | 90.00 | **no**, 1.3 times |" in text


def test_a_token_that_is_logged_has_the_same_target() -> None:
    result = make_result()
    logged = Outcome("chatfleet_conversations", "Chatfleet, conversations", make_figures(cpu_per_token_us=60))
    text = page(msgspec.structs.replace(result, outcomes=[*result.outcomes, logged]))
    assert "| CPU per streamed token | ≤ 40 µs | 1.00 | 1.00 | yes |" in text
    assert "| CPU per streamed token, run log in Redis included | ≤ 40 µs | 60.00 | 60.00 | **no**, 1.5 times |" in text


def test_a_faster_machine_makes_no_target_easier_and_none_harder() -> None:
    assert "| 50.00 | 50.00 |" in page(make_result(slower=0.5, cpu_per_token_us=50))


def test_added_time_is_beyond_the_upstreams_own() -> None:
    assert "| added time to first token, p50 | ≤ 0.5 ms | 0.40 |" in page(make_result(first_token_p50_ms=1.4))


def test_ratios_are_ours_to_theirs() -> None:
    assert "| LiteLLM 1 | 2.00 | ≥ 35 | 1.00 |" in page(make_result())


@pytest.mark.parametrize(("cpu", "row"), [(57.5, "| 1.15 | ≤ 1.15 | yes |"), (60, "| 1.20 | ≤ 1.15 | **no** |")])
def test_a_dialect_is_compared_with_chat_completions(cpu: float, row: str) -> None:
    result = make_result(cpu_per_token_us=50)
    other = Outcome("chatfleet_messages", "Messages", make_figures(cpu_per_token_us=cpu))
    assert "## Dialects" not in page(result)
    assert row in page(msgspec.structs.replace(result, outcomes=[*result.outcomes, other]))


def test_the_profile_is_in_time_per_token() -> None:
    assert "| `chat/` | 25% | 10.0 |" in page(make_result(cpu_per_token_us=40))


def test_what_was_not_borne_is_no_zero() -> None:
    assert "| 1 | - | - | 1.00 |" in page(make_result(crowd_cpu_per_token_us=None, crowd_gap_p99_ms=None))


def test_the_median_round_counts() -> None:
    rounds = [make_figures(idle_mb=value, per_stream_kb=value) for value in (10, 90, 20)]
    assert typical(rounds).idle_mb == 20
    assert typical([*rounds, make_figures(per_stream_kb=None)]).per_stream_kb is None


def test_samples_are_grouped_by_the_innermost_function() -> None:
    run = "run (asyncio/runners.py:86)"
    stacks = f"{run};send (uvicorn/a.py:1) 3\n{run} 1\nx (elsewhere.py:1) 4\n"
    assert grouped(stacks) == {
        OTHERS: 0.5,
        "serving HTTP (uvicorn)": 0.375,
        "event loop, sockets, kernel (uvloop)": 0.125,
    }


def test_a_workload_is_read_as_it_was_asked_for() -> None:
    script = read_question(Workload(100, 50).ask())
    assert (script.tokens, script.gap, script.fault(0)) == (100, 1 / 50, None)
    assert read_question(Workload(100).ask()).gap == 0
    with pytest.raises(ValueError, match="malformed"):
        read_question("hello")
