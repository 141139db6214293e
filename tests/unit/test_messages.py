"""Sentences that reach users are short, start with a capital letter, and use the field's words.

Conditions, errors, field descriptions, rules, metrics, logs, command lines, targets of make, notes of the chart.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from chatfleet_api.domain import errors as domain_errors
from chatfleet_api.domain.errors import FACTS
from chatfleet_contract.crd import definition, resource
from chatfleet_contract.metrics import METRICS
from chatfleet_contract.reasons import REASONS

ROOT = Path(__file__).parents[2]
SENTENCE: Final = 200
DESCRIPTION: Final = 300

STOP_WORDS: Final = (
    *("tell", "tells", "told", "say", "says", "said", "asks", "asked", "away", "heir", "heirs", "asleep"),
    *("left alone", "just now", "not to be", "by what", "by and by", "nobody", "somebody", "waiting room"),
    *("sign of life", "spared", "rightly", "fell silent", "wholly", "looked after", "in force"),
)
"""Words of a private vocabulary: the field has a term for each."""
STOP: Final = re.compile(rf"\b({'|'.join(STOP_WORDS)})\b", re.IGNORECASE)
HOLE: Final = "…"
"""What a placeholder of a format string becomes."""


pytestmark = pytest.mark.timeout(60)  # it parses every module once


class Sentence(NamedTuple):
    place: str
    text: str
    limit: int = SENTENCE


def described() -> Iterator[Sentence]:
    """The field descriptions and the validation rules: what `kubectl explain` and `kubectl apply` print."""
    for path, node in resource().walk():
        if node.description:
            yield Sentence(f"field {path}", node.description, DESCRIPTION)
        if node.pattern_message:
            yield Sentence(f"rule of {path}", f"{node.pattern_message[0].upper()}{node.pattern_message[1:]}")
        for rule in node.validations or []:
            yield Sentence(f"rule of {path or 'ChatDeployment'}", f"{rule.message[0].upper()}{rule.message[1:]}")
    spec: Any = definition()["spec"]
    for column in spec["versions"][0]["additionalPrinterColumns"]:
        yield Sentence("column", str(column["description"]))


def documented() -> Iterator[Sentence]:
    """The descriptions of metrics and reasons, and what clients read of an error code."""
    yield from (Sentence(f"metric {row.name}", row.help) for row in METRICS.values())
    for condition, reasons in REASONS.items():
        yield from (Sentence(f"reason {reason} of {condition}", text) for reason, text in reasons.items())
    for code, facts in FACTS.items():
        yield Sentence(f"error {code}", facts.message)
        yield Sentence(f"action of {code}", facts.suggested_action)


def parsed(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    for folder in folders:
        for path in sorted((ROOT / folder).glob("**/*.py")):
            yield str(path.relative_to(ROOT)), module(path)


@cache
def module(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def nodes(tree: ast.Module) -> tuple[ast.AST, ...]:
    """Return all nodes of a module: to walk the trees takes longer than to parse them."""
    return tuple(ast.walk(tree))


def text_of(node: ast.expr | None) -> str:
    """Return a literal, an f-string or a concatenation as text; empty for anything else."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(HOLE if isinstance(value, ast.FormattedValue) else text_of(value) for value in values)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return text_of(left) + text_of(right)
        case _:
            return ""


def calls(tree: ast.Module, names: Iterable[str]) -> Iterator[ast.Call]:
    wanted = set(names)
    for node in nodes(tree):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in wanted:
                yield node


def argument(call: ast.Call, position: int | None, keyword: str = "") -> str:
    named = next((each.value for each in call.keywords if each.arg == keyword), None)
    positional = call.args[position] if position is not None and len(call.args) > position else None
    return text_of(named or positional)


def conditions() -> Iterator[Sentence]:
    for place, tree in parsed("operator/chatfleet_operator/status"):
        for call in calls(tree, ("true", "false", "unknown", "ConditionResult")):
            yield from (Sentence(place, text) for each in call.args if " " in (text := text_of(each)))


def errors() -> Iterator[Sentence]:
    names = [name for name in vars(domain_errors) if name.endswith("Error")]
    for place, tree in parsed("api/chatfleet_api"):
        for call in calls(tree, names):
            yield Sentence(place, argument(call, 1, "message"))


def helps() -> Iterator[Sentence]:
    for place, tree in parsed("api", "operator", "contract", "tools/cluster/chatfleet_cluster", "lab/chatfleet_lab"):
        for call in calls(tree, ("Counter", "Gauge", "Histogram", "gauge", "counter")):
            yield Sentence(place, argument(call, 1))
        for call in calls(tree, ("add_argument", "add_parser", "Option", "Argument", "Typer")):
            text = argument(call, None, "help")
            yield Sentence(place, f"{text[:1].upper()}{text[1:]}", DESCRIPTION)


def raised() -> Iterator[Sentence]:
    """Messages of other exceptions: of settings, of the local cluster, of parsers. Some continue a sentence."""
    for place, tree in parsed("api", "operator", "contract", "tools/cluster/chatfleet_cluster"):
        for node in nodes(tree):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                texts = (text_of(each) for each in (*node.exc.args, *(each.value for each in node.exc.keywords)))
                yield from (Sentence(place, text, DESCRIPTION) for text in texts if " " in text)


def operations() -> Iterator[Sentence]:
    """The OpenAPI document, as far as it is written by hand."""
    for place, tree in parsed("api/chatfleet_api/web"):
        for node in nodes(tree):
            if isinstance(node, ast.Dict):
                pairs = zip(node.keys, node.values, strict=True)
                texts = (text_of(value) for key, value in pairs if text_of(key) in {"summary", "description"})
                yield from (Sentence(place, text, DESCRIPTION) for text in texts)


def logs() -> Iterator[Sentence]:
    """Log messages; an argument becomes a hole, and a message that is nothing else has its words elsewhere."""
    for place, tree in parsed("api", "operator", "contract", "tools/cluster/chatfleet_cluster"):
        for call in calls(tree, ("debug", "info", "warning", "error", "exception", "critical", "log")):
            if ast.unparse(call.func).startswith("logger."):
                text = argument(call, 1 if ast.unparse(call.func) == "logger.log" else 0)
                yield Sentence(place, re.sub(r"%[sdr]", HOLE, text))


def commands() -> Iterator[Sentence]:
    targets = re.findall(r"^([a-z0-9-]+):.*## (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    yield from (Sentence(f"make {target}", text) for target, text in targets)
    notes = (ROOT / "charts" / "chatfleet" / "templates" / "NOTES.txt").read_text()
    yield from (Sentence("NOTES.txt", line.strip()) for line in notes.splitlines())


def laboratory() -> Iterator[Sentence]:
    """What the lab and the tools print and publish: every literal of some words that is no docstring."""
    for place, tree in parsed("lab/chatfleet_lab", "tools"):
        docs = {id(node.value) for node in nodes(tree) if isinstance(node, ast.Expr)}
        inner = {id(part) for node in nodes(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in nodes(tree):
            if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in docs | inner:
                text = text_of(node)
                if text.count(" ") > 1:  # pages are of any length
                    yield Sentence(place, text, len(text))


@cache
def sentences() -> tuple[Sentence, ...]:
    sources = (
        described(),
        documented(),
        conditions(),
        errors(),
        raised(),
        helps(),
        operations(),
        logs(),
        commands(),
        laboratory(),
    )
    return tuple(sentence for source in sources for sentence in source if sentence.text)


def test_the_sentences_are_found() -> None:
    """Each source yields as many as there are, roughly: a renamed function must not empty one."""
    counts = {
        source.__name__: len(list(source()))
        for source in (described, documented, conditions, errors, raised, helps, logs, laboratory)
    }
    assert not {name: count for name, count in counts.items() if count < 20}, counts


def test_sentences_are_short() -> None:
    assert not [(place, text) for place, text, limit in sentences() if len(text) > limit]


def test_sentences_use_the_terms_of_the_field() -> None:
    assert not [(place, found[0], text) for place, text, _ in sentences() if (found := STOP.search(text))]


@pytest.mark.parametrize("source", [described, documented, conditions, errors], ids=lambda source: str(source.__name__))
def test_sentences_start_with_a_capital_and_end_with_a_full_stop(source: object) -> None:
    assert callable(source)
    texts = [(place, text) for place, text, _ in source() if text and not place.startswith("rule")]
    assert not [
        (place, text) for place, text in texts if not re.match(rf"[A-Z`{HOLE}]|spec\.|metadata\.|custom\.", text)
    ]
    assert not [(place, text) for place, text in texts if not re.search(rf"[.{HOLE}]`?$", text)]


def test_log_messages_start_with_a_capital_and_end_without_a_full_stop() -> None:
    assert not [(place, text) for place, text, _ in logs() if not re.match(rf"[A-Z{HOLE}]", text) or text[-1] == "."]


def test_documents_use_the_terms_of_the_field() -> None:
    """But for measurements, which are records, names in code, and targets of links."""
    records = (ROOT / "docs" / "measurements",)
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]
    texts = {
        document.name: re.sub(r"```.*?```|`[^`]*`|(?<=\])\([^)\s]*\)", "", document.read_text(), flags=re.DOTALL)
        for document in documents
        if not any(document.is_relative_to(folder) for folder in records)
    }
    assert not {(name, found[0]) for name, text in texts.items() for found in STOP.finditer(text)}


def test_docstrings_use_the_terms_of_the_field() -> None:
    """Those of the product: where a reader searches for a mechanism."""
    found = {
        (place, word[0])
        for place, tree in parsed("api", "operator", "contract")
        for node in nodes(tree)
        if isinstance(node, ast.Expr) and (text := text_of(node.value))
        for word in STOP.finditer(text)
    }
    assert not found
