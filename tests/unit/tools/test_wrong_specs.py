"""The page of wrong ChatDeployments is generated from the table that tests apply."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("wrong_specs_page", ROOT / "tools/wrong_specs.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_as_the_table_defines_it(tool: ModuleType) -> None:
    assert (ROOT / tool.PAGE).read_text() == tool.page()


def test_a_rejected_row_has_its_field_with_the_value_and_the_words(tool: ModuleType) -> None:
    page = tool.page()
    assert '## Types\n\n- A word as a number. Rejected, `spec.replicas: two`: "must be of type integer".\n' in page
    assert '- No name. Rejected, `metadata.name`: "name or generateName is required".\n' in page


def test_an_accepted_row_has_what_is_written_and_a_link_to_its_reason(tool: ModuleType) -> None:
    page = tool.page().replace("\n  ", " ")
    link = "[`SecretMissing`](../operations/troubleshooting.md#configurationvalid-secretmissing)"
    written = "`redis: {urlSecretRef: {name: nowhere, key: url}}`"
    words = '"key url of Secret nowhere … Create it"'
    assert (
        f"- A Secret with the URL that does not exist. {written}; condition ConfigurationValid, {link}: {words}."
        in page
    )
