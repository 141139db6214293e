"""The chart's RBAC rules are generated from those that the operator's code declares."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from chatfleet_operator.kube.rbac import RULES, Rule

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def rules() -> ModuleType:
    spec = importlib.util.spec_from_file_location("operator_rules", ROOT / "tools/operator_rules.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_file_is_as_the_code_defines_it(rules: ModuleType) -> None:
    assert (ROOT / rules.FILE).read_text() == rules.text()


def test_every_rule_is_in_it(rules: ModuleType) -> None:
    assert yaml.safe_load(rules.text()) == [
        {"apiGroups": [rule.group], "resources": [rule.resource], "verbs": list(rule.verbs)} for rule in RULES
    ]


def test_a_rule_for_named_objects_is_limited_to_them(rules: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "RULES", (Rule("", "secrets", ("get",), ("a", "b")),))

    assert yaml.safe_load(rules.text()) == [
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a", "b"], "verbs": ["get"]}
    ]
