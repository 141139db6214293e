"""promtool on rules and recordings: what would fire, if what was recorded went on."""

import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

MONITORING: Final = Path(__file__).parents[2] / "charts/chatfleet/files/monitoring"
ALERT_RULES: Final = MONITORING / "rules.yaml"
DASHBOARDS: Final = MONITORING / "dashboards"
EVALUATED: Final = 5
"""Rules are evaluated at each so-many-th step: each rate is steady, so that more evaluations find the same."""
FIRING: Final = 'max by (alertname, severity, window) (ALERTS{alertstate="firing"})'


class Firing(NamedTuple):
    """An alert that fires."""

    name: str
    severity: str
    window: str = ""

    @property
    def sample(self) -> Mapping[str, Any]:
        """As promtool expects it of the query `FIRING`."""
        labels = f'alertname="{self.name}",severity="{self.severity}"'
        window = f',window="{self.window}"' if self.window else ""
        return {"labels": f"{{{labels}{window}}}", "value": 1}


class Series(NamedTuple):
    """A series as promtool takes it."""

    series: str
    values: str


class Evaluation(NamedTuple):
    """Series with a value each step, and what fires after so many of them."""

    series: Sequence[Series]
    step_minutes: int
    steps: int
    firing: Iterable[Firing]


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run promtool.

    Raises:
        RuntimeError: it is not installed.
    """
    if (program := shutil.which("promtool")) is None:
        raise RuntimeError("promtool is not installed: run `make setup` as root, or apt-get install prometheus")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=300)


def mismatch(folder: Path, evaluation: Evaluation) -> str:
    """Return how what fires differs from what should, in promtool's words; empty: it does not."""
    return _tested(folder, evaluation, {FIRING: [each.sample for each in sorted(evaluation.firing)]})


def empty(folder: Path, evaluation: Evaluation, queries: Iterable[str]) -> str:
    """Return which queries have no result at the end, in promtool's words; empty: each has one."""
    one = [{"labels": "{}", "value": 1}]
    return _tested(folder, evaluation, {f"clamp_max(count({query}), 1)": one for query in queries})


def _tested(folder: Path, evaluation: Evaluation, expected: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return how the results of queries differ from what is expected."""
    step, at = f"{evaluation.step_minutes}m", f"{evaluation.step_minutes * evaluation.steps}m"
    test = {
        "interval": step,
        "input_series": [each._asdict() for each in evaluation.series],
        "promql_expr_test": [
            {"expr": query, "eval_time": at, "exp_samples": samples} for query, samples in expected.items()
        ],
    }
    file = folder / "test.yaml"
    evaluated = f"{evaluation.step_minutes * EVALUATED}m"
    document = {"rule_files": [str(ALERT_RULES)], "evaluation_interval": evaluated, "tests": [test]}
    file.write_text(yaml.safe_dump(document, width=1_000_000))
    done = promtool("test", "rules", str(file))
    return "" if done.returncode == 0 else done.stdout + done.stderr


def problem(queries: Mapping[str, str], folder: Path) -> str:
    """Return what is wrong with PromQL queries, by name; empty: each parses."""
    rules = [{"record": name, "expr": query} for name, query in queries.items()]
    (file := folder / "queries.yaml").write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    done = promtool("check", "rules", str(file))
    return "" if done.returncode == 0 else done.stdout + done.stderr
