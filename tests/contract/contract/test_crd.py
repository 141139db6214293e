"""The generated files are what the models say, and the definition refers only to what is there."""

import re
from pathlib import Path
from typing import Any

import pytest

from chatfleet_contract import names
from chatfleet_contract.crd import definition, generated, main, resource

ROOT = Path(__file__).parents[3]
PATHS = {re.sub(r"\[\]|\{\}", "", path) for path, _ in resource().walk()} | {".metadata.creationTimestamp"}


def version() -> Any:  # noqa: ANN401  # JSON
    spec: Any = definition()["spec"]
    (only,) = spec["versions"]
    return only


@pytest.mark.parametrize("path", list(generated()))
def test_a_generated_file_is_as_the_models_say(path: str) -> None:
    assert (ROOT / path).read_text() == generated()[path]


def test_check_names_what_is_stale_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(tmp_path)]) == 0
    (tmp_path / "crds/chatdeployments.chatfleet.io.yaml").write_text("old")
    assert main(["--root", str(tmp_path), "--check"]) == 1
    assert capsys.readouterr().err == "crds/chatdeployments.chatfleet.io.yaml is stale; run `make crds`\n"
    assert (tmp_path / "crds/chatdeployments.chatfleet.io.yaml").read_text() == "old"
    assert main(["--root", str(tmp_path)]) == 0
    assert main(["--root", str(tmp_path), "--check"]) == 0


def test_every_field_has_a_description_that_is_a_sentence() -> None:
    described = {path: node.description or "" for path, node in resource().walk() if is_field(path)}
    assert not {path: text for path, text in described.items() if not re.fullmatch(r"(?s)[A-Za-z].+\.", text)}


def is_field(path: str) -> bool:
    """Whether `kubectl explain` shows this place as a field that is ours: no item of a list, no metadata."""
    return bool(path) and not path.endswith(("[]", "{}")) and not path.startswith(".metadata")


@pytest.mark.parametrize("column", version()["additionalPrinterColumns"], ids=lambda column: column["name"])
def test_a_column_shows_a_field_that_there_is(column: dict[str, Any]) -> None:
    assert re.sub(r"\[\?[^]]*\]", "", column["jsonPath"]) in PATHS
    assert column["description"].endswith(".")


def test_scale_reads_and_writes_fields_that_there_are() -> None:
    assert set(version()["subresources"]["scale"].values()) <= PATHS


def test_the_reference_tells_every_field() -> None:
    page = (ROOT / f"docs/reference/{names.SINGULAR}.md").read_text()
    fields = [path for path, _ in resource().walk() if path.startswith((".spec.", ".status.")) and is_field(path)]
    missing = [path for path in fields if f"- `{path.split('.', 2)[2]}` (" not in page]
    assert not missing
