"""What KEDA asks Prometheus, answered by Prometheus' own engine (`promtool test rules`)."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from chatfleet_contract.spec.autoscaling import MetricType
from chatfleet_operator.children.scaled_object import query
from chatfleet_operator.model.values import Ref
from harness.kube.prometheus import require_prometheus

REF = Ref("shop", "support")
STREAMS, TOKENS = "chatfleet_active_streams", "chatfleet_tokens_total"
UNSEEN = "stale _x90"
"""A scrape that fails ends a series at once."""


def of(name: str, pod: str, values: str, namespace: str = "shop") -> dict[str, str]:
    """Return a series of a pod, a value every 15 s."""
    return {"series": f'{name}{{namespace="{namespace}",pod="{pod}"}}', "values": values}


def check(folder: Path, signal: MetricType, series: list[dict[str, str]], expected: float | None) -> None:
    """Let promtool say what the query is worth after ten minutes; None: it has no value."""
    samples = [] if expected is None else [{"labels": "{}", "value": expected}]
    asked = {"expr": query(REF, signal), "eval_time": "10m", "exp_samples": samples}
    tests: dict[str, Any] = {"tests": [{"interval": "15s", "input_series": series, "promql_expr_test": [asked]}]}
    (folder / "test.yml").write_text(json.dumps(tests))
    said = subprocess.run(
        ["promtool", "test", "rules", str(folder / "test.yml")], capture_output=True, text=True, check=False, timeout=60
    )
    assert said.returncode == 0, said.stdout + said.stderr


@pytest.fixture(autouse=True, scope="module")
def _there() -> None:
    require_prometheus()


A, B, C = (f"support-5d8f7c9b4-{name}" for name in ("aaaaa", "bbbbb", "ccccc"))
BUSY = [of(STREAMS, A, "7x60"), of("up", A, "1x60")]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        pytest.param([of(STREAMS, B, "5x60"), of("up", B, "1x60")], 12, id="both can be read"),
        pytest.param(
            [of(STREAMS, B, "5x10 " + UNSEEN), of("up", B, "1x10 0x60")], 12, id="one is silent, and counts as it was"
        ),
        pytest.param([of("up", B, "0x60")], 7, id="one is new and has not said anything"),
        pytest.param([of(STREAMS, B, "5x10 " + UNSEEN), of("up", B, "1x10 " + UNSEEN)], 7, id="one is gone"),
        pytest.param(
            [of(STREAMS, "other-5d8f7c9b4-aaaaa", "9x60"), of(STREAMS, A, "9x60", "elsewhere")], 7, id="not ours"
        ),
    ],
)
def test_streams_are_summed_over_the_pods_that_are_there(
    tmp_path: Path, more: list[dict[str, str]], expected: float
) -> None:
    check(tmp_path, MetricType.ACTIVE_STREAMS, [*BUSY, *more], expected)


@pytest.mark.parametrize("signal", [MetricType.ACTIVE_STREAMS, MetricType.TOKENS_PER_SECOND])
def test_without_a_pod_that_can_be_read_there_is_no_value(tmp_path: Path, signal: MetricType) -> None:
    silent = [of(name, A, "7x10 " + UNSEEN) for name in (STREAMS, TOKENS)]
    check(tmp_path, signal, [*silent, of("up", A, "1x10 0x60")], None)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        pytest.param([], 0, id="no token yet"),
        pytest.param([of(TOKENS, A, "0+300x60")], 20, id="twenty a second"),
        *(
            pytest.param(
                [
                    *(of(TOKENS, A, "0+300x60"), of(TOKENS, B, f"0+150x{looks} {UNSEEN}")),
                    *(of(STREAMS, B, f"1x{looks} {UNSEEN}"), of("up", B, f"1x{looks} 0x60")),
                ],
                30,
                id=f"one is silent after {looks} looks, and counts as it was",
            )
            for looks in (20, 21, 22, 23, 39)
        ),
    ],
)
def test_tokens_are_a_rate(tmp_path: Path, tokens: list[dict[str, str]], expected: float) -> None:
    check(tmp_path, MetricType.TOKENS_PER_SECOND, [*BUSY, *tokens], expected)
