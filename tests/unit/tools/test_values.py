"""The values reference is generated from the chart, and every value has a description."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]
SCHEMA = {
    "definitions": {"image": {"type": "string"}},
    "properties": {
        "part": {
            "type": "object",
            "properties": {
                "image": {"$ref": "#/definitions/image"},
                "workers": {"type": "integer", "minimum": 1, "maximum": 9},
                "level": {"enum": ["info", "debug"]},
            },
        },
        "names": {"type": "array", "items": {"type": "string"}},
    },
}
TEXT = """\
# A file.

# The part.
part:
  # Its image,
  # of two lines.
  image: x
  # Its workers.
  workers: 2
  # Its level.
  level: info
# The names.
names: []
"""


@pytest.fixture(scope="module")
def values() -> ModuleType:
    spec = importlib.util.spec_from_file_location("values_reference", ROOT / "tools/values.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_as_the_chart_defines_it(values: ModuleType) -> None:
    assert (ROOT / values.PAGE).read_text() == values.page()


def test_a_value_has_type_default_bounds_and_its_comment(values: ModuleType) -> None:
    page = values.Values(TEXT, SCHEMA).page()
    assert "## `part`\n\nThe part.\n" in page
    assert '- `part.image` (string, default `"x"`): Its image, of two lines.\n' in page
    assert "- `part.workers` (integer, default `2`, ≥ 1, ≤ 9): Its workers.\n" in page
    assert '- `part.level` (`info` `debug`, default `"info"`): Its level.\n' in page
    assert page.endswith("- `names` (list of string, default `[]`): The names.\n")


def test_a_value_without_a_comment_is_an_error(values: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"part\.workers has no comment"):
        values.Values(TEXT.replace("  # Its workers.\n", ""), SCHEMA).page()
