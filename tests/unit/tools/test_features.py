"""The page of features is what the data and the marks of tests have, and a wrong mark is refused."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]
MODULE = "tests/test_it.py"
NAMED = "[1]\nname = 'One'\nwhere = '`GET /one`'\n[2]\nname = 'Two'\nwhere = '`spec.two`'\nabsent = 'half of it'\n"
MARKED = "@pytest.mark.feature(1)\nasync def test_one() -> None: ...\n"


@pytest.fixture(scope="module")
def features() -> ModuleType:
    spec = importlib.util.spec_from_file_location("features", ROOT / "tools" / "features.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_current(features: ModuleType) -> None:
    assert (ROOT / features.PAGE).read_text() == features.page(), "run `make features`"


def test_a_feature_has_its_place_its_tests_and_what_is_absent(features: ModuleType) -> None:
    page = features.page_of(features.features(NAMED), list(features.proofs(MODULE, MARKED)))
    assert "1 of 2 features have tests." in page
    assert "| 1 | One | `GET /one` | 1 |" in page
    assert "| 2 | Two | `spec.two` | none |" in page
    assert f"## 1. One\n\n- `{MODULE}`:\n  `test_one`\n" in page
    assert "## 2. Two\n\nNot offered: half of it.\n\nNo test.\n" in page


@pytest.mark.parametrize(
    "text",
    [
        "@pytest.mark.feature\ndef test_it() -> None: ...\n",
        "@pytest.mark.feature()\ndef test_it() -> None: ...\n",
        "@pytest.mark.feature(1)\ndef helper() -> None: ...\n",
        "pytestmark = pytest.mark.feature(1)\ndef test_it() -> None: ...\n",
        "class TestIt:\n    @pytest.mark.feature(1)\n    def test_it(self) -> None: ...\n",
    ],
    ids=["no call", "no number", "no test", "a whole module", "within a class"],
)
def test_a_mark_that_proves_nothing_is_refused(features: ModuleType, text: str) -> None:
    with pytest.raises(ValueError, match=MODULE):
        list(features.proofs(MODULE, text))


def test_a_mark_names_a_feature_that_exists(features: ModuleType) -> None:
    found = list(features.proofs(MODULE, MARKED.replace("1", "3")))
    with pytest.raises(ValueError, match="feature 3"):
        features.page_of(features.features(NAMED), found)


def test_features_are_numbered_without_a_gap(features: ModuleType) -> None:
    with pytest.raises(ValueError, match="without a gap"):
        features.features(NAMED.replace("[2]", "[3]"))
