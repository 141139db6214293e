"""What holds for the repository as a whole: its shape, its size, and what must never be written into it."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
DISTRIBUTIONS = ("contract", "operator", "api", "lab", "tools/cluster")
TOP_LEVEL = {
    *("operator", "api", "charts", "crds", "tests", "skaffold.yaml", "pyproject.toml", "README.md"),
    *("contract", "lab", "examples", "docs", "tools", "requirements", "Makefile", "LICENSE", "changelog.d"),
    *("CHANGELOG.md", "CONTRIBUTING.md", "AGENTS.md", "SECURITY.md", ".ci"),
    *(".dockerignore", ".editorconfig", ".gitignore"),
}
PACKAGE_SOURCE = re.compile(
    r"(proxy|sum)\.golang\.org|pypi\.(org|python\.org)|pythonhosted\.org|registry\.(npmjs|yarnpkg)"
    r"|(deb|snapshot)\.debian\.org|(static|index)\.crates\.io|repo\d?\.maven"
)
MACHINE_PATH = re.compile(r"(?<![\w.-])/(root|home|work|Users)/|" + re.escape(str(ROOT)) + r"\b")
NO_FRAGMENTS = ("README.md", "template.md.jinja")
"""In changelog.d, beside the fragments."""
MODULE_LINES = 300
FUNCTION_LINES = 60
CLASS_LINES = 150
PRODUCT = tuple(ROOT / folder for folder in ("contract", "operator", "api"))
TARGETS = (
    "help setup fmt lint types test test-unit test-contract test-cluster e2e demo cluster-up cluster-down images crds"
    " docs run requirements"
)


@cache
def files() -> tuple[Path, ...]:
    """Return every file that is committed or about to be."""
    command = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return tuple(path for name in names.split("\0") if name and (path := ROOT / name).is_file())


def modules() -> Iterator[Path]:
    """Yield the modules of our distributions."""
    yield from (path for path in files() if path.suffix == ".py" and ROOT / "tests" not in path.parents)


def modules_of(folder: Path) -> Iterator[Path]:
    """Yield the modules in a folder of the tests."""
    yield from (path for path in files() if path.suffix == ".py" and folder in path.parents)


def pins(name: str) -> dict[str, str]:
    """Return the pinned version of each package in `requirements/<name>.txt`."""
    found = re.findall(r"^([a-z0-9._-]+)==([^ ]+) ", (ROOT / "requirements" / f"{name}.txt").read_text(), re.MULTILINE)
    return dict(found)


def test_the_folder_of_the_operator_does_not_shadow_the_standard_module() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()


def test_the_folders_of_the_tests_are_no_packages() -> None:
    assert not [path for path in files() if path.is_relative_to(ROOT / "tests") and path.name == "__init__.py"]


def test_the_top_level_is_what_a_visitor_was_told() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in files()} == TOP_LEVEL


@pytest.mark.parametrize("forbidden", [PACKAGE_SOURCE, MACHINE_PATH], ids=["package source", "path of a machine"])
def test_no_file_depends_on_where_it_was_written(forbidden: re.Pattern[str]) -> None:
    texts = ((path, path.read_text(errors="replace")) for path in files())
    assert not [f"{path}: {found[0]}" for path, text in texts if (found := forbidden.search(text))]


def test_modules_are_short() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in modules()}
    assert not {name: length for name, length in lengths.items() if length > MODULE_LINES}


def test_functions_are_short() -> None:
    functions = (
        (f"{path.relative_to(ROOT)}: {node.name}", (node.end_lineno or 0) - node.lineno + 1)
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    assert not {name: length for name, length in functions if length > FUNCTION_LINES}


def test_classes_of_the_product_are_short() -> None:
    classes = (
        (f"{path.relative_to(ROOT)}: {node.name}", (node.end_lineno or 0) - node.lineno + 1)
        for path in modules()
        if any(path.is_relative_to(folder) for folder in PRODUCT)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    )
    assert not {name: length for name, length in classes if length > CLASS_LINES}


def test_the_map_of_the_harness_names_every_module_and_no_other() -> None:
    harness = ROOT / "tests" / "harness"
    rows = re.findall(r"^\| (`.+`) \|", (harness / "README.md").read_text(), re.MULTILINE)
    named = set()
    for row in rows:
        folder = ""
        for name in re.findall(r"`([^`]+)`", row):
            folder = name.rpartition("/")[0] or folder
            named.add(name if "/" in name or not folder else f"{folder}/{name}")
    assert {name for name in named if name.endswith(".py")} == {
        str(path.relative_to(harness)) for path in modules_of(harness)
    }


def test_help_names_every_target_with_a_sentence() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))
    assert targets >= set(TARGETS.split())
    helped = subprocess.run(("make", "help"), cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^  make ([a-z0-9-]+) +[A-Z].*\.$", helped, re.MULTILINE)) == targets


@pytest.mark.parametrize("name", ["dev", "build", "operator", "api"])
def test_every_pin_has_its_hashes_and_names_no_source(name: str) -> None:
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
    pinned = [line for line in lines if line and not line.startswith((" ", "#"))]
    assert pinned
    assert all(re.fullmatch(r"[a-z0-9._-]+==[^ ]+( ; .+)? \\", line) for line in pinned)
    assert sum(line.startswith("    --hash=sha256:") for line in lines) >= len(pinned)


@pytest.mark.parametrize(("name", "folders"), [("dev", DISTRIBUTIONS), ("operator", ["operator"]), ("api", ["api"])])
def test_the_pins_meet_what_the_distributions_ask_for(name: str, folders: list[str]) -> None:
    pinned = pins(name)
    for folder in folders:
        asked = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]["dependencies"]
        for requirement in map(Requirement, asked):
            if requirement.name != "chatfleet-contract":
                assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), str(requirement)


@pytest.mark.parametrize("folder", DISTRIBUTIONS)
def test_a_distribution_packs_all_of_its_packages(folder: str) -> None:
    project = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())
    wheel = project.get("tool", {}).get("hatch", {}).get("build", {}).get("targets", {}).get("wheel", {})
    packed = wheel.get("packages") or [project["project"]["name"].replace("-", "_")]
    assert set(packed) == {path.parent.name for path in (ROOT / folder).glob("*/__init__.py")}


def test_every_dependency_has_its_reason() -> None:
    told = (ROOT / "docs" / "decisions" / "0002-dependencies.md").read_text()
    rows = {name for row in re.findall(r"^\| ([a-z0-9, -]+) \|", told, re.MULTILINE) for name in row.split(", ")}
    projects = (tomllib.loads((ROOT / folder / "pyproject.toml").read_text()) for folder in DISTRIBUTIONS)
    asked = [name for project in projects for name in project["project"]["dependencies"]]
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    asked += [name for group in groups.values() for name in group if isinstance(name, str)]
    assert rows == {Requirement(name).name for name in asked} - {"chatfleet-contract"}


@pytest.mark.parametrize("name", ["build", "operator", "api"])
def test_the_images_get_the_versions_that_were_tested(name: str) -> None:
    assert pins(name).items() <= pins("dev").items()


def test_every_change_that_is_not_released_has_a_kind_and_fits_into_the_changelog() -> None:
    kinds = "|".join(
        kind["directory"] for kind in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["towncrier"]["type"]
    )
    fragments = [path for path in files() if path.parent == ROOT / "changelog.d" and path.name not in NO_FRAGMENTS]
    assert not [path.name for path in fragments if not re.fullmatch(rf"[a-z0-9-]+\.({kinds})\.md", path.name)]
    assert not [path.name for path in fragments if not re.match(r"(?![-*#])\S", path.read_text())]


def test_the_end_to_end_tests_end_with_the_one_that_uninstalls() -> None:
    files = {path.name: path.read_text().count("\ndef test_") for path in (ROOT / "tests" / "e2e").glob("test_*.py")}
    assert max(files) == "test_uninstall.py"
    assert files["test_uninstall.py"] == 1  # pytest-xdist begins with the files that have most tests
