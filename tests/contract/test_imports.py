"""Who may import whom: the rules of pyproject.toml hold, and each of them catches what it is there for."""

import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "contract/chatfleet_contract",
    "operator/chatfleet_operator",
    "operator/chatfleet_metrics",
    "api/chatfleet_api",
    "lab/chatfleet_lab",
    "tests/harness",
)
CONTRACT, OPERATOR, METRICS, API, _, HARNESS = PACKAGES
VIOLATIONS = (
    ("The contract is data that everyone can read", f"{CONTRACT}/names.py", "import kopf"),
    ("Operator and API build on the contract and never on each other", f"{CONTRACT}/names.py", "import chatfleet_api"),
    (
        "Operator and API build on the contract and never on each other",
        f"{API}/domain/errors.py",
        "import chatfleet_operator",
    ),
    (
        "The operator's packages are layers",
        f"{OPERATOR}/model/values.py",
        "import chatfleet_operator.children.kinds",
    ),
    (
        "The operator's packages are layers",
        f"{OPERATOR}/children/labels.py",
        "import chatfleet_operator.reconcile.decide",
    ),
    ("The operator's decisions are pure", f"{OPERATOR}/reconcile/decide.py", "import time"),
    ("The operator's decisions are pure", f"{OPERATOR}/children/__init__.py", "import uuid"),
    ("The operator's decisions are pure", f"{OPERATOR}/status/report.py", "from datetime import datetime"),
    ("The metrics API server's decisions are pure", f"{METRICS}/apiserver/api.py", "import time"),
    ("The metrics API server's decisions are pure", f"{METRICS}/samples/sample.py", "import asyncio"),
    (
        "The metrics API server serves samples, and samples know no server",
        f"{METRICS}/samples/store.py",
        "import chatfleet_metrics.apiserver.users",
    ),
    (
        "The metrics API server shares the operator's client and process parts, not its reconciler",
        f"{METRICS}/samples/pods.py",
        "import chatfleet_operator.watches",
    ),
    (
        "Operator and API build on the contract and never on each other",
        f"{OPERATOR}/process/leader.py",
        "import chatfleet_metrics.settings",
    ),
    ("The reconciler works against ports", f"{OPERATOR}/reconcile/reconcile.py", "import kubernetes"),
    ("PostgreSQL stays in the archive", f"{API}/sessions/redis.py", "import psycopg"),
    ("The reconciler works against ports", f"{OPERATOR}/process/workqueue.py", "import chatfleet_operator.watches"),
    ("Kopf stays in the watches", f"{OPERATOR}/status/report.py", "import kopf"),
    ("The Kubernetes client stays in kube", f"{OPERATOR}/watches.py", "import kubernetes"),
    ("The API's packages are layers", f"{API}/domain/live.py", "import chatfleet_api.redis.client"),
    ("The API's packages are layers", f"{API}/runs/pool.py", "import chatfleet_api.sessions.store"),
    ("The API's packages are layers", f"{API}/chat/turn.py", "import chatfleet_api.web.stream"),
    ("The API's packages are layers", f"{API}/web/app.py", "import chatfleet_api.pod.health"),
    ("The API's packages are layers", f"{API}/server/protocol.py", "import chatfleet_api.pod.lifecycle"),
    ("The API's packages are layers", f"{API}/pod/lifecycle.py", "import chatfleet_api.server.http_server"),
    ("The parts of runs are layers", f"{API}/runs/run.py", "import chatfleet_api.runs.pool"),
    (
        "The activator knows no model and no conversation",
        f"{API}/activator/backend.py",
        "import chatfleet_api.providers.upstream",
    ),
    ("Turns and dialects know no web framework, no vendor and no store", f"{API}/chat/__init__.py", "import fastapi"),
    ("Routes see ports, never adapters", f"{API}/web/app.py", "import chatfleet_api.sessions.redis"),
    ("Redis stays in its package", f"{API}/domain/errors.py", "import redis"),
    ("The harness imports neither the lab nor the tests", f"{HARNESS}/polling.py", "import chatfleet_lab.machine"),
    ("The harness imports neither the lab nor the tests", f"{HARNESS}/clients/load.py", "import tests"),
    ("A pod carries no vendor's library", f"{API}/providers/vendors/openai/request.py", "import openai"),
)
"""A rule, and a file and line that it must refuse."""

HEADING = re.compile(r"\n(.+)\n-{10,}\n")
LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def lint_imports(tree: Path) -> tuple[int, str]:
    """Check the packages in `tree` by its own rules; returns the exit status and what was printed."""
    folders = [*((tree / package).parent for package in PACKAGES), sysconfig.get_path("purelib")]
    finished = subprocess.run(
        # -S: without the editable installs, whose harness would be a second part of that namespace package
        (sys.executable, "-S", "-c", LINT, "--no-logo", "--cache-dir", tree / ".cache"),
        cwd=tree,
        env={"PYTHONPATH": ":".join(map(str, folders)), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    return finished.returncode, finished.stdout + finished.stderr


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the packages and their rules."""
    copy = tmp_path_factory.mktemp("tree")
    shutil.copy(ROOT / "pyproject.toml", copy)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def test_every_rule_holds(tree: Path) -> None:
    status, printed = lint_imports(tree)
    assert status == 0, printed


@pytest.fixture(scope="module")
def refused(tree: Path) -> Mapping[str, str]:
    """Check the tree once with every violation in it; returns what is printed of each rule that is broken."""
    kept = {name: (tree / name).read_text() for _, name, _ in VIOLATIONS}
    for name, source in kept.items():
        lines = (line for _, file, line in VIOLATIONS if file == name)
        (tree / name).write_text("\n".join((source, *lines, "")))
    try:
        status, printed = lint_imports(tree)
    finally:
        for name, source in kept.items():
            (tree / name).write_text(source)
    assert status != 0
    _, *parts = HEADING.split(printed)
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize(("rule", "name", "line"), VIOLATIONS)
def test_a_violation_is_caught(refused: Mapping[str, str], rule: str, name: str, line: str) -> None:
    module = ".".join(Path(name).with_suffix("").parts[1:]).removesuffix(".__init__")
    assert f"{module} -> {line.split()[1]} (l." in refused[rule]


def test_a_package_of_the_api_without_a_layer_is_caught(tree: Path) -> None:
    package = tree / API / "somewhere.py"
    package.write_text("")
    try:
        status, printed = lint_imports(tree)
    finally:
        package.unlink()
    assert status != 0
    assert "The API's packages are layers BROKEN" in printed


def test_every_rule_has_its_violation() -> None:
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert {rule["name"] for rule in rules} == {rule for rule, _, _ in VIOLATIONS}
