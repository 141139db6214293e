"""The documents agree with the repository: links, commands, paths, examples, reasons, codes and metrics exist."""

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

from chatfleet_api.domain.errors import ANSWERED, FACTS, Code, Facts
from chatfleet_contract import metrics, names
from chatfleet_contract.metric_worries import WORRY
from chatfleet_contract.reasons import REASONS
from chatfleet_contract.spec import ChatDeploymentSpec

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
PACKAGES = ("api/", "contract/", "operator/", "lab/", "tools/", "tests/")
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]+)")
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
MAKE = re.compile(r"\bmake ([a-z][a-z0-9-]*)")
FILE = re.compile(
    r"(?<![\w./<-])((?:api|charts|contract|crds|docs|examples|lab|operator|requirements|tests|tools)/[\w./-]*+)(?![{*…<])"
)
MODULE = re.compile(r"(?<![\w./*…-])([\w/]+\.py)\b(?!/)")
WIDTH = 120

of_each_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=[str(path.relative_to(ROOT)) for path in DOCUMENTS]
)


@cache
def tracked() -> tuple[str, ...]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return tuple(listed.stdout.split())


def code(document: Path) -> str:
    """Return what the document sets as code, where commands and paths are."""
    return "\n".join(CODE.findall(document.read_text()))


@cache
def anchors(document: Path) -> frozenset[str]:
    """Return the anchors of the document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL), re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)


@of_each_document
def test_every_link_leads_somewhere(document: Path) -> None:
    targets = [target.partition("#") for target in LINK.findall(CODE.sub("", document.read_text()))]
    resolved = [((document.parent / path if path else document), anchor) for path, _, anchor in targets]
    assert not [path for path, _ in resolved if not path.exists()]
    assert not [
        (path.name, anchor)
        for path, anchor in resolved
        if anchor and path.suffix == ".md" and anchor not in anchors(path)
    ]


@of_each_document
def test_every_make_target_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(MAKE.findall(code(document))) <= targets


@of_each_document
def test_every_path_exists(document: Path) -> None:
    paths = (path.rstrip(".") for path in FILE.findall(code(document)))
    assert not [path for path in paths if not (ROOT / path).exists()]


@of_each_document
def test_every_module_exists(document: Path) -> None:
    """A decision may name a module by the end of its path, such as `chat/turn.py`."""
    modules = set(MODULE.findall(code(document)))
    assert not [module for module in modules if not any(f"/{path}".endswith(f"/{module}") for path in tracked())]


@of_each_document
def test_lines_are_short(document: Path) -> None:
    measured = document.is_relative_to(ROOT / "docs" / "measurements")
    written_by_a_program = measured or document == ROOT / "docs" / "conformance.md"
    assert not [line for line in document.read_text().splitlines() if len(line) > WIDTH and not written_by_a_program]


@of_each_document
def test_every_example_parses(document: Path) -> None:
    for _, language, text in BLOCK.findall(document.read_text()):
        match language:
            case "yaml":
                list(map(check_resource, yaml.safe_load_all(text)))
            case "python":
                ast.parse(text)
            case "sh":
                subprocess.run(["bash", "-n", "-c", text], check=True, capture_output=True)


def check_resource(document: object) -> None:
    """Parse a ChatDeployment as the operator does; a part of one only has to be YAML."""
    if isinstance(document, dict) and document.get("kind") == names.KIND:
        ChatDeploymentSpec.model_validate(document["spec"])


def test_the_index_links_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / target).resolve() for target in LINK.findall(index.read_text())}
    of_other_indexes = {"decisions", "runbooks"}  # runbooks: docs/operations/alerts.md
    pages = {
        page for page in DOCUMENTS if page.is_relative_to(ROOT / "docs") and page.parent.name not in of_other_indexes
    }
    assert not {str(page.relative_to(ROOT)) for page in pages - {index} if page not in linked}


def test_the_page_of_alerts_links_every_runbook() -> None:
    page = ROOT / "docs" / "operations" / "alerts.md"
    linked = {page.parent / target for target in LINK.findall(page.read_text()) if target.startswith("runbooks/")}
    assert linked == set((page.parent / "runbooks").glob("*.md"))


def test_every_reason_of_a_condition_has_a_paragraph() -> None:
    page = (ROOT / "docs" / "operations" / "troubleshooting.md").read_text()
    paragraphs = re.findall(
        r"^### (\w+): `(\w+)`\n\n- \*\*Cause\.\*\* .*?- \*\*Check\.\*\* .*?- \*\*Remedy\.\*\* ",
        page,
        re.DOTALL | re.MULTILINE,
    )
    assert set(paragraphs) == {(condition, reason) for condition, reasons in REASONS.items() for reason in reasons}


def test_every_error_code_is_documented_with_its_facts() -> None:
    page = (ROOT / "docs" / "reference" / "errors.md").read_text()
    rows = [
        f"| `{code}` | {facts.status} | {yes_no(facts.retryable)} | {facts.message} |" for code, facts in FACTS.items()
    ]
    assert not [row for row in rows if row not in page]
    policies = re.findall(r"^\| `(\w+)` \| (\w+) \| (\w+) \| (\w+) \|$", page, re.MULTILINE)
    assert {name for name, *_ in policies} >= {code for code in Code if code.startswith("upstream_")}
    for name, *cells in policies:
        facts = FACTS[Code(name)]
        assert cells == policy_cells(facts), name
    begun = re.findall(r"^\| `(\w+)`, once the answer began \| (\w+) \| (\w+) \| (\w+) \|$", page, re.MULTILINE)
    assert {Code(name): cells for name, *cells in begun} == {
        code: policy_cells(facts) for code, facts in ANSWERED.items()
    }


def policy_cells(facts: Facts) -> list[str]:
    return list(map(yes_no, (facts.retry_upstream, facts.trips_breaker, facts.try_fallback)))


def yes_no(fact: bool) -> str:  # noqa: FBT001  # a cell of a table
    return "yes" if fact else "no"


def test_every_metric_is_documented() -> None:
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    exported = set(metrics.METRICS)
    assert not {name for name in exported if f"- `{name}` (" not in page}


def test_every_metric_says_when_to_worry() -> None:
    assert WORRY.keys() == metrics.METRICS.keys()
    assert not [name for name, text in WORRY.items() if text.endswith(".")]


def test_documents_name_only_metrics_that_exist() -> None:
    exported = set(metrics.METRICS)
    named = {
        (document.name, metric)
        for document in DOCUMENTS
        if document.parent.name != "decisions" and document.name != "CHANGELOG.md"
        for metric in re.findall(
            r"`(chatfleet_\w+(?:_total|_seconds|_streams|_requests|_up|_open|_leader))\b", document.read_text()
        )
    }
    assert not {(page, metric) for page, metric in named if metric not in exported}


def test_every_path_in_a_docstring_or_comment_exists() -> None:
    sources = [ROOT / path for path in tracked() if path.startswith(PACKAGES) and path.endswith(".py")]
    named = {
        (str(source.relative_to(ROOT)), path.rstrip("."))
        for source in sources
        if source.exists() and FILE.search(source.read_text())
        for text in remarks(source)
        for path in FILE.findall(text)
    }
    assert not {(source, path) for source, path in named if "/" in path.strip("/") and not exists(path)}


def exists(path: str) -> bool:
    """Whether the path exists; a decision may be named by its number alone."""
    return (ROOT / path).exists() or any((ROOT / "docs" / "decisions").glob(f"{path.rpartition('/')[2]}-*.md"))


def remarks(source: Path) -> Iterator[str]:
    """Yield the comments of a module, and the strings that are statements."""
    text = source.read_text()
    yield from (
        node.value.value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    )
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    yield from (token.string for token in tokens if token.type == tokenize.COMMENT)


def test_every_class_of_the_glossary_exists() -> None:
    cells = re.findall(r"\| ([^|]*) \|$", (ROOT / "docs" / "development" / "glossary.md").read_text(), re.MULTILINE)
    named = {name for cell in cells for name in re.findall(r"`([A-Z]\w+|[a-z]+(?:_[a-z]+)+)`", cell)}
    packages = {Path(path).parent.name for path in tracked() if path.endswith("/__init__.py")}
    defined = {
        name
        for path in tracked()
        if path.startswith(("api/", "operator/", "contract/")) and path.endswith(".py") and (ROOT / path).exists()
        for name in re.findall(r"^ *(?:async )?(?:class|def) (\w+)", (ROOT / path).read_text(), re.MULTILINE)
    }
    assert not named - defined - packages
    assert not {
        path
        for cell in cells
        for path in re.findall(r"`([\w/]+/)`", cell)
        if not any(f"/{path}" in f"/{each}" for each in tracked())
    }


SCENARIOS = ROOT / "lab" / "chatfleet_lab" / "chaos" / "scenarios"
"""Named by what they prove."""
VENDORS = ROOT / "api" / "chatfleet_api" / "providers" / "vendors"
"""Its folders are the rows of a table; its map refers to that."""
MAPPED = ("api", "operator", "contract", "lab", "tools/cluster")


def test_every_module_is_on_the_map_of_its_package() -> None:
    """The docstring of a package, or of the package around it, names each module with what is in it."""
    packages = {path.parent for folder in MAPPED for path in (ROOT / folder).glob("**/__init__.py")} - {SCENARIOS}
    missing = {
        str(module.relative_to(ROOT))
        for package in packages
        for module in (*package.glob("*.py"), *(path.parent for path in package.glob("*/__init__.py")))
        if module.stem not in {"__init__", "__main__"} and not re.search(rf"\b{module.stem}\b", map_of(package))
        if not (package == VENDORS and module.is_dir())
    }
    assert not missing


def test_the_map_of_vendors_refers_to_their_table_which_imports_every_folder() -> None:
    assert re.search(r"`<vendor>/`.*see `table\.py`", map_of(VENDORS))
    table = (VENDORS / "table.py").read_text()
    imported = set(re.findall(r"^from chatfleet_api\.providers\.vendors\.(\w+)", table, re.MULTILINE))
    assert {path.parent.name for path in VENDORS.glob("*/__init__.py")} <= imported


def map_of(package: Path) -> str:
    texts = (path.read_text() for each in (package, package.parent) if (path := each / "__init__.py").exists())
    return " ".join(ast.get_docstring(ast.parse(text)) or "" for text in texts)
