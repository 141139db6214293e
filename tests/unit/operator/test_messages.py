"""Sentences for users: short, in Kubernetes' style, without words of a private vocabulary."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import chatfleet_operator.__main__

PACKAGE = Path(chatfleet_operator.__main__.__file__).parent
LONGEST = 200
"""Characters of our own in one sentence, the words of others in it not counted."""

STOP_WORDS = re.compile(
    r"\b(tells?|told|says?|said|left alone|heirs?|asks? for|asked|just now|is away|by what|wakes?|enqueued|knows?)\b",
    re.IGNORECASE,
)


def own_text(node: ast.expr) -> str:
    """Return the literal parts of a string or f-string."""
    if isinstance(node, ast.JoinedStr):
        return "".join(own_text(part) for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def texts(tree: ast.AST) -> Iterator[str]:
    """Yield every string in `tree` but docstrings, those of f-strings as a whole."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.JoinedStr | ast.Constant):
            yield own_text(child)
        elif not (isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)):
            yield from texts(child)


def faults(source: str) -> list[str]:
    return [text for text in texts(ast.parse(source)) if len(text) > LONGEST or STOP_WORDS.search(text)]


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_messages_are_short_and_in_standard_terms(file: Path) -> None:
    assert faults(file.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        'false(Reason.X, "No pod has told about Redis yet.")',
        'logger.info("%s is left alone", name)',
        'raise Retry(f"the server says {words}")',
        f'unknown(Reason.X, f"{"x" * LONGEST}{{name}}x")',
    ],
)
def test_a_message_in_other_terms_is_found(source: str) -> None:
    assert len(faults(source)) == 1


def test_docstrings_are_not_messages() -> None:
    assert faults('"""What a pod says."""\nX = 1\n"""What it tells."""\n') == []
