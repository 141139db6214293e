"""The documents tell the truth about commands and files: each that they name is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
MAKE = re.compile(r"\bmake ([a-z][a-z0-9-]*)")
FILE = re.compile(
    r"(?<![\w./<-])((?:api|charts|contract|crds|docs|examples|lab|operator|requirements|tests|tools)/[\w./-]*)"
)

pytestmark = pytest.mark.parametrize("document", DOCUMENTS, ids=[str(path.relative_to(ROOT)) for path in DOCUMENTS])


def code(document: Path) -> str:
    """Return what the document sets as code, where commands and paths stand."""
    return "\n".join(CODE.findall(document.read_text()))


def test_every_link_leads_somewhere(document: Path) -> None:
    targets = LINK.findall(CODE.sub("", document.read_text()))
    assert not [target for target in targets if not (document.parent / target).exists()]


def test_every_make_target_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(MAKE.findall(code(document))) <= targets


def test_every_path_exists(document: Path) -> None:
    names = (name.rstrip(".") for name in FILE.findall(code(document)))
    assert not [name for name in names if not (ROOT / name).exists()]
