"""`make test` itself: lanes side by side, the first failure stops all, budgets are reported and fail nothing."""

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]
MAKEFILE = """
quick:
	@echo 3 passed
quiet:
	@echo 4 passed
broken:
	@echo 1 failed; exit 3
endless:
	@exec sleep 3600
session:
	@test -e /proc/self/autogroup || exit 0; \
	for _ in $$(seq 500); do grep -qv 'nice 0' /proc/self/autogroup && exit 0; sleep 0.01; done; exit 1
niceness:
	@echo niceness $$(nice)
"""


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, with a Makefile of the test's own."""
    spec = importlib.util.spec_from_file_location("make_test", ROOT / "tools/test.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "make_test", module)
    spec.loader.exec_module(module)
    (tmp_path / "Makefile").write_text(MAKEFILE)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return module


async def run(runner: ModuleType, *lanes: tuple[tuple[str, int], ...]) -> int:
    steps = tuple(tuple(runner.Step(target, budget) for target, budget in lane) for lane in lanes)
    status: int = await runner.main((steps,))
    return status


async def test_all_steps_of_all_lanes_run(runner: ModuleType, capfd: pytest.CaptureFixture[str]) -> None:
    assert await run(runner, (("quick", 60), ("quick", 61)), (("quick", 62),)) == 0
    printed = capfd.readouterr().out
    assert printed.count("3 passed") == 3
    assert "all 3 steps passed" in printed


async def test_a_failure_stops_the_other_lanes_and_the_steps_to_come(
    runner: ModuleType, capfd: pytest.CaptureFixture[str]
) -> None:
    assert await run(runner, (("endless", 60), ("quick", 60)), (("broken", 60), ("quick", 61))) == 1
    printed = capfd.readouterr().out
    assert "1 failed" in printed
    assert "FAILED: make broken; its output is above" in printed
    assert "3 passed" not in printed


async def test_a_step_over_its_budget_is_reported_and_passes(
    runner: ModuleType, capfd: pytest.CaptureFixture[str]
) -> None:
    assert await run(runner, (("quick", 0),)) == 0
    assert "OVER BUDGET" in capfd.readouterr().out


async def test_a_phase_begins_when_the_one_before_has_ended(
    runner: ModuleType, capfd: pytest.CaptureFixture[str]
) -> None:
    beside, alone = runner.Step("quick", 60), runner.Step("quiet", 60)
    assert await runner.main((((beside,), (beside._replace(budget=61),)), ((alone,),))) == 0
    printed = capfd.readouterr().out
    assert printed.rindex("passed: make quick") < printed.index("started: make quiet")


async def test_what_only_computes_yields_to_what_is_beside_it(
    runner: ModuleType, capfd: pytest.CaptureFixture[str]
) -> None:
    first, second = runner.Step("niceness", 60), runner.Step("niceness", 60, runner.COMPUTES)
    assert await runner.main((((first, second),),)) == 0
    printed = capfd.readouterr().out
    own = os.nice(0)
    least = min(19, own + runner.COMPUTES)
    assert printed.index(f"niceness {own}\n") < printed.index(f"niceness {least}\n")


async def test_its_session_yields_too_where_the_kernel_groups_sessions(runner: ModuleType) -> None:
    step = runner.Step("session", 60, runner.COMPUTES)  # ends when its session's priority is lower
    assert await runner.main((((step,),),)) == 0
