"""The health check for Argo CD in docs/guide/gitops.md, run by a real Lua of the version that Argo CD has."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from lupa.lua51 import LuaRuntime  # type: ignore[import-untyped]  # it has no stubs

from chatfleet_contract.reasons import REASONS
from chatfleet_contract.status import ConditionType
from chatfleet_operator.status.conditions.configuration_valid import WARNINGS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "guide" / "gitops.md").read_text()
CASES: list[dict[str, Any]] = yaml.safe_load(
    (ROOT / "tests" / "cluster" / "crd" / "fixtures" / "health.yaml").read_text()
)


def health(obj: dict[str, Any]) -> dict[str, str]:
    """Return what the script of the page returns for `obj`."""
    (script,) = re.findall(r"```lua\n(.*?)```", PAGE, re.DOTALL)
    lua = LuaRuntime(register_eval=False)
    lua.globals().obj = lua.table_from(obj, recursive=True)
    return dict(lua.execute(script))


def status(case: dict[str, Any]) -> dict[str, Any]:
    conditions = [
        dict(zip(("type", "status", "reason"), (kind, *text.split()), strict=True), message=f"{kind} {text}")
        for kind, text in case["conditions"].items()
    ]
    return {"observedGeneration": 1, "conditions": conditions}


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_argo_cd_shows_the_health(case: dict[str, Any]) -> None:
    found = health({"metadata": {"generation": case.get("generation", 1)}, "status": status(case)})
    assert found["status"] == case["argocd"]
    assert found["message"] == "Waiting for the operator" or found["message"].split()[0] in case["conditions"]


def test_argo_cd_shows_the_warning_of_what_serves() -> None:
    conditions = {"Ready": "True Serving", "ConfigurationValid": "False VolumeDiffers"}
    found = health({"metadata": {"generation": 1}, "status": status({"conditions": conditions})})
    assert found == {"status": "Healthy", "message": "ConfigurationValid False VolumeDiffers"}


def test_what_serves_with_a_warning_is_the_same_for_the_operator_and_for_the_tools() -> None:
    for language in ("lua", "yaml"):
        (text,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
        reasons = REASONS[ConditionType.CONFIGURATION_VALID]
        assert {reason for reason in reasons if re.search(rf"[\"']{reason.value}[\"']", text)} == WARNINGS


@pytest.mark.parametrize("obj", [{}, {"status": {}}, {"status": {"observedGeneration": 1, "conditions": []}}])
def test_argo_cd_waits_for_the_operator(obj: dict[str, Any]) -> None:
    assert health({"metadata": {"generation": 1}, **obj})["status"] == "Progressing"


def test_every_reason_in_a_case_exists() -> None:
    known = {f"{kind} {reason}" for kind, reasons in REASONS.items() for reason in reasons}
    used = {f"{kind} {text.split()[1]}" for case in CASES for kind, text in case["conditions"].items()}
    assert used <= known
