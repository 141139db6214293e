"""Every query of the dashboards is valid PromQL, and about metrics and labels that exist."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import pytest
import yaml

from chatfleet_contract.dashboards.grafana import dashboards
from chatfleet_contract.metric_row import Kind
from chatfleet_contract.metrics import METRICS
from chatfleet_lab.alerts.recording import Recording, Target
from chatfleet_lab.alerts.replay import expanded
from harness.promtool import ALERT_RULES, DASHBOARDS, Evaluation, empty, problem

FILES: Final = sorted(DASHBOARDS.glob("*.json"))
OF_HISTOGRAMS: Final = re.compile(r"_(bucket|sum|count)$")
NAME: Final = re.compile(r"\b(?:chatfleet_|process_)\w+|\bchatdeployment:\w+:\w+")
RECORDED: Final = msgspec.json.decode((Path(__file__).parent / "recorded.json").read_bytes(), type=dict[str, Recording])
STEPS: Final = 70
OF_TARGETS: Final = {"namespace", "chatdeployment", "pod", "le"}
"""What monitors and histograms add."""

each_dashboard = pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])


def queries(file: Path) -> Iterator[tuple[str, str]]:
    """Yield each query with its legend, with the variables that Grafana replaces."""
    for panel in json.loads(file.read_text())["panels"]:
        for target in panel["targets"]:
            yield target["expr"].replace("$__rate_interval", "5m"), target["legendFormat"]


def recorded() -> set[str]:
    groups = yaml.safe_load(ALERT_RULES.read_text())["groups"]
    return {rule["record"] for group in groups for rule in group["rules"] if "record" in rule}


def exists(name: str) -> bool:
    base = OF_HISTOGRAMS.sub("", name)
    return name in METRICS or name in recorded() or (base in METRICS and METRICS[base].kind is Kind.HISTOGRAM)


def test_the_files_are_those_of_the_tables() -> None:
    assert {file.name: file.read_text() for file in FILES} == dashboards()
    assert {file.stem for file in FILES} == {"fleet", "chatdeployment", "operator", "cost"}


@each_dashboard
def test_every_query_parses(file: Path, tmp_path: Path) -> None:
    found = {f"query:{number}": query for number, (query, _) in enumerate(queries(file))}
    assert found
    assert not problem(found, tmp_path)


def test_a_query_that_does_not_parse_is_found(tmp_path: Path) -> None:
    assert "query:1" in problem({"query:0": "up", "query:1": "sum(rate(up[5m])"}, tmp_path)


@each_dashboard
def test_every_metric_exists_and_has_the_labels_of_the_legend(file: Path) -> None:
    for query, legend in queries(file):
        named = set(NAME.findall(query))
        assert named
        assert all(map(exists, named)), query
        labels = {label for name in named if (row := METRICS.get(OF_HISTOGRAMS.sub("", name))) for label in row.labels}
        assert set(re.findall(r"{{(\w+)}}", legend)) <= labels | OF_TARGETS, legend


@each_dashboard
def test_every_query_has_a_result_from_what_was_recorded(file: Path, tmp_path: Path) -> None:
    """Of those whose metrics are in the recordings: of all scenarios together, as if each were a pod of its own."""
    lines = [
        line
        for number, recording in enumerate(RECORDED.values())
        for target in recording.targets
        for line in expanded(Target({**target.labels, "pod": f"pod-{number}"}, target.series), recording, STEPS)
    ]
    exported = {OF_HISTOGRAMS.sub("", line.series.partition("{")[0]) for line in lines} | recorded()
    asked = [
        query.replace("$namespace", "shop").replace("$chatdeployment", "support")
        for query, _ in queries(file)
        if {OF_HISTOGRAMS.sub("", name) for name in NAME.findall(query)} <= exported
    ]
    assert asked
    assert not empty(tmp_path, Evaluation(lines, 1, STEPS, ()), asked)


def test_the_rules_are_about_metrics_that_exist() -> None:
    groups = yaml.safe_load(ALERT_RULES.read_text())["groups"]
    named = {name for group in groups for rule in group["rules"] for name in NAME.findall(rule["expr"])}
    assert named
    assert all(map(exists, named)), [name for name in named if not exists(name)]
