"""The operator's settings: from the environment, checked, frozen."""

import ast
from pathlib import Path

import pytest

from chatfleet_operator.process import settings
from chatfleet_operator.process.settings import PREFIX, BadSettings, Settings, read_settings


def test_nothing_set_is_a_working_operator() -> None:
    assert read_settings({}) == Settings()
    assert read_settings({f"{PREFIX}WORKERS": ""}) == Settings()


def test_settings_are_read_by_name() -> None:
    read = read_settings(
        {
            f"{PREFIX}NAMESPACES": "shop, support,",
            f"{PREFIX}DENY_NAMESPACES": "desk, lab",
            f"{PREFIX}LEADER_ELECTION": "false",
            f"{PREFIX}RESYNC_SECONDS": "2.5",
            "NAMESPACES": "other",
        }
    )

    assert read.namespaces == ("shop", "support")
    assert [read.serves(each) for each in ("shop", "desk", "lab")] == [True, False, False]
    assert read.leader_election is False
    assert read.resync_seconds == 2.5


@pytest.mark.parametrize(("name", "value"), [("WORKERS", "0"), ("RESYNC_SECONDS", "soon"), ("LOG_LEVEL", "loud")])
def test_a_bad_value_is_refused_by_the_name_of_its_variable(name: str, value: str) -> None:
    with pytest.raises(BadSettings, match=PREFIX + name):
        read_settings({PREFIX + name: value})


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().workers = 3  # type: ignore[misc]


def test_every_setting_is_documented() -> None:
    tree = ast.parse(Path(settings.__file__).read_text())
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Settings").body
    fields = [index for index, node in enumerate(body) if isinstance(node, ast.AnnAssign)]

    for index in fields:
        following = body[index + 1] if index + 1 < len(body) else None
        assert isinstance(following, ast.Expr), ast.unparse(body[index])
    assert len(fields) == len(Settings.model_fields)
