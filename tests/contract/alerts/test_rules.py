"""Each alert fires when it should and not otherwise, evaluated by Prometheus on what real processes have exported.

`recorded.json` is written by `python -m chatfleet_lab.alerts`: what pods, operators and metrics API servers export
while they are well, and while something is wrong. Here the recorded minute repeats for hours or days.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import pytest
import yaml

from chatfleet_lab.alerts.recording import Recording, Target
from chatfleet_lab.alerts.replay import expanded
from harness.promtool import ALERT_RULES, Evaluation, Firing, Series, mismatch, promtool

pytestmark = pytest.mark.lasts(30)

ROOT: Final = Path(__file__).parents[3]
RECORDED: Final = msgspec.json.decode((Path(__file__).parent / "recorded.json").read_bytes(), type=dict[str, Recording])
GROUPS: Final = yaml.safe_load(ALERT_RULES.read_text())["groups"]
ALERTS: Final[list[Mapping[str, Any]]] = [rule for group in GROUPS for rule in group["rules"] if "alert" in rule]
CALM: Final = ("well", "leading", "registered")
"""Nothing is wrong with any of these."""


class Window(NamedTuple):
    """How the burn rate of an error budget is measured."""

    long: str
    short_minutes: int
    factor: float
    severity: str
    step_minutes: int
    """Between two scrapes: the short window has several."""
    steps: int
    """Until the long window is full."""


WINDOWS: Final = (
    Window("1h", 5, 14.4, "page", step_minutes=1, steps=70),
    Window("6h", 30, 6, "page", step_minutes=6, steps=70),
    Window("3d", 360, 1, "ticket", step_minutes=60, steps=80),
)


class Objective(NamedTuple):
    """An alert on an error budget, and what was recorded while it burnt."""

    alert: str
    budget: float
    recording: str
    bad: str
    """The series that counts what is bad, by its beginning."""
    all: str


OBJECTIVES: Final = (
    Objective(
        *("ChatfleetStreamsBroken", 0.001, "killed"),
        bad='chatfleet_streams_ended_total{dialect="native",reason="interrupted"}',
        all="chatfleet_streams_ended_total",
    ),
    Objective(
        *("ChatfleetFirstTokensLate", 0.01, "late"),
        bad="chatfleet_time_to_first_token_seconds_count",
        all="chatfleet_time_to_first_token_seconds_count",
    ),
    Objective(
        *("ChatfleetRequestsRefused", 0.001, "full"),
        bad="chatfleet_requests_rejected_total",
        all="chatfleet_requests_total",
    ),
)
OTHERS: Final[Mapping[str, tuple[str, ...]]] = {
    "killed": ("ChatfleetTakeovers",),
    "without redis": ("ChatfleetRedisDown",),
    "redis at times": ("ChatfleetRedisErrors",),
    "without archive": ("ChatfleetArchiveBehind",),
    "without upstream": ("ChatfleetCircuitOpen",),
    "paused": ("ChatfleetEventLoopLags",),
    "nearly exhausted": ("ChatfleetBudgetNearlyExhausted",),
    "unavailable": ("ChatDeploymentNotAvailable", "ChatDeploymentNotReady", "ChatfleetAutoscalingWithoutMetrics"),
    "conflict": ("ChatDeploymentConflict",),
    "standby": ("ChatfleetNoLeader",),
    "unregistered": ("ChatfleetMetricsNotRegistered",),
    "expiring": ("ChatfleetCertificateExpires",),
}
"""What fires beside objectives, by recording."""


def series(*recordings: str, steps: int) -> list[Series]:
    """Return the series of all targets of some recordings."""
    found = (RECORDED[name] for name in recordings)
    return [line for recording in found for each in recording.targets for line in expanded(each, recording, steps)]


def with_calm(recording: str) -> tuple[str, ...]:
    """Return a recording among the calm ones of the other processes: its target takes the place of one of theirs."""
    own = {each.labels["pod"].rpartition("-")[0] for each in RECORDED[recording].targets}
    calm = (
        name for name in CALM if not own & {each.labels["pod"].rpartition("-")[0] for each in RECORDED[name].targets}
    )
    return (recording, *calm)


def named(alerts: Iterable[str]) -> list[Firing]:
    return [
        Firing(rule["alert"], rule["labels"]["severity"], rule["labels"].get("window", ""))
        for rule in ALERTS
        if rule["alert"] in alerts
    ]


def total(recording: str, beginning: str) -> float:
    """Return what was counted in a recording by all series that begin so."""
    targets = RECORDED[recording].targets
    return sum(
        last - first for each in targets for name, (first, last) in each.series.items() if name.startswith(beginning)
    )


def test_the_rules_are_valid() -> None:
    done = promtool("check", "rules", str(ALERT_RULES))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tried() -> None:
    assert {rule["alert"] for rule in ALERTS} == {each.alert for each in OBJECTIVES} | {
        name for names in OTHERS.values() for name in names
    }


@pytest.mark.parametrize("window", WINDOWS)
def test_nothing_fires_while_all_is_well(tmp_path: Path, window: Window) -> None:
    calm = series(*CALM, steps=window.steps)
    assert not mismatch(tmp_path, Evaluation(calm, window.step_minutes, window.steps, ()))


@pytest.mark.parametrize("recording", OTHERS)
def test_what_is_wrong_fires_its_alerts_and_no_others(tmp_path: Path, recording: str) -> None:
    burning = [each.alert for each in OBJECTIVES if each.recording == recording]
    recorded = series(*with_calm(recording), steps=70)
    assert not mismatch(tmp_path, Evaluation(recorded, 1, 70, named([*OTHERS[recording], *burning])))


@pytest.mark.parametrize("recording", [name for name, alerts in OTHERS.items() if name != "killed"])
def test_nothing_fires_before_its_time(tmp_path: Path, recording: str) -> None:
    recorded = series(*with_calm(recording), steps=70)
    waits = {
        int(rule["for"].removesuffix("h").removesuffix("m")) for rule in ALERTS if rule["alert"] in OTHERS[recording]
    }
    assert waits
    assert not mismatch(tmp_path, Evaluation(recorded, 1, 0, ()))


@pytest.mark.parametrize("burn_rate", [0.5, 3, 10, 30])
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_burn_rate_fires_in_its_windows_only(
    tmp_path: Path, objective: Objective, window: Window, burn_rate: float
) -> None:
    """Of the pods that are well there are so many that the others' failures are a share of `burn_rate` budgets."""
    steps, share = window.steps, objective.budget * burn_rate
    bad, every = total(objective.recording, objective.bad), total(objective.recording, objective.all)
    times = (bad / share - every) / total("well", objective.all)
    burning, well = RECORDED[objective.recording], RECORDED["well"]
    recorded = [
        *(line for each in burning.targets for line in expanded(renamed(each), burning, steps)),
        *(line for each in well.targets for line in expanded(each, well, steps, times)),
        *series("leading", "registered", steps=steps),
    ]
    fires = [
        Firing(objective.alert, each.severity, each.long)
        for each in WINDOWS
        if each.factor < burn_rate and each.short_minutes >= 2 * window.step_minutes
    ]
    others = named(OTHERS.get(objective.recording, ())) if window.step_minutes < 30 else []  # of half an hour
    assert not mismatch(tmp_path, Evaluation(recorded, window.step_minutes, steps, [*fires, *others]))


def renamed(target: Target) -> Target:
    """Return a target as another pod of the same ChatDeployment."""
    return Target({**target.labels, "pod": "support-1"}, target.series)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_some_failures_of_few_are_no_burn_rate(tmp_path: Path, objective: Objective) -> None:
    """Once an hour the recorded minute: 12 events in a window of an hour."""
    burning = RECORDED[objective.recording]
    lines = [line for each in burning.targets for line in expanded(each, burning, 70)]
    sparse = [Series(name, once(values)) for name, values in lines]
    others = named(OTHERS.get(objective.recording, ()))
    calm = series("leading", "registered", steps=70)
    assert not mismatch(tmp_path, Evaluation([*sparse, *calm], 1, 70, others))


def once(values: str) -> str:
    """Return values that step once, ten minutes before the end."""
    first, _, rest = values.partition("+")
    step, _, steps = rest.partition("x")
    return f"{first}x{int(steps) - 10} {float(first) + float(step)!r}x10"


@pytest.mark.parametrize("rule", ALERTS, ids=[f"{rule['alert']}-{rule['labels'].get('window', '')}" for rule in ALERTS])
def test_every_alert_has_a_severity_and_a_runbook_that_begins_with_what_to_type(rule: Mapping[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    page = (ROOT / rule["annotations"]["runbook_url"]).read_text()
    assert re.match(rf"# {rule['alert']}\n\n```sh\n\S", page)


def test_every_runbook_is_that_of_an_alert() -> None:
    pages = {page.stem for page in (ROOT / "docs/operations/runbooks").glob("*.md")}
    assert pages == {rule["alert"] for rule in ALERTS}
