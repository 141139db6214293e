"""No example names a model that its vendor is about to shut down, by the tables of the pinned vendors' SDKs."""

import re
import subprocess
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
from anthropic.types import model as anthropic_model
from openai.types.shared import chat_model

from harness.sdk_shutdown_dates import of_anthropic, of_openai

ROOT = Path(__file__).parents[2]
NOTICE = timedelta(days=90)
SHOWN = ("*.md", "examples", "docs", "charts", "crds", "tools", "tests/e2e", "tests/harness/kube")
"""Where examples, defaults and what users copy are."""
HISTORY = (":!CHANGELOG.md", ":!changelog.d", ":!docs/decisions")
"""What was so when it was written."""
MODEL = re.compile(r"(?<![\w./-])(?:gpt-\d[\w.-]*\w|claude-[a-z]+-\d[\w.-]*\w|o\d(?:-[a-z]+)+)(?![\w/])")


def endings() -> dict[str, date]:
    """Return the models that end, each with its day: the vendors' own words in the SDKs."""
    return of_openai() | of_anthropic()


@cache
def named() -> dict[str, str]:
    """Return the models that tracked files name, each with a file that does."""
    command = ("git", "ls-files", "--cached", "--others", "--exclude-standard", *SHOWN, *HISTORY)
    found: dict[str, str] = {}
    for name in subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split():
        path = ROOT / name
        if path.suffix in {".md", ".yaml", ".yml", ".json", ".py", ".sh", ".toml", ""} and path != Path(__file__):
            found |= dict.fromkeys(MODEL.findall(path.read_text(errors="replace")), name)
    return found


def release() -> date:
    """Return the day of what is released, which is the day of its last commit."""
    command = ("git", "log", "-1", "--format=%cs")
    shown = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return date.fromisoformat(shown.stdout.strip())


def ending(models: dict[str, str], day: date) -> list[str]:
    ends = {model: end for model, end in endings().items() if end < day + NOTICE}
    return [f"{file}: {model} ends on {ends[model]}" for model, file in models.items() if model in ends]


def test_no_example_names_a_model_that_ends_soon() -> None:
    assert not ending(named(), release())


def test_each_model_of_an_example_is_known_to_its_vendors_sdk() -> None:
    known = {*get_args(chat_model.ChatModel)}
    for part in get_args(anthropic_model.Model):
        known.update(get_args(part))
    assert {"gpt-6-luna", "claude-haiku-5-5"} <= set(named())
    assert not set(named()) - known


@pytest.mark.parametrize(
    ("model", "day", "ends"),
    [
        ("gpt-4.1-mini", date(2026, 11, 28), True),
        ("gpt-4.1-mini", date(2026, 9, 1), False),
        ("claude-sonnet-4-5", date(2026, 11, 28), True),
        ("gpt-6-luna", date(2026, 11, 28), False),
    ],
)
def test_the_vendors_tables_are_read(model: str, day: date, ends: bool) -> None:  # noqa: FBT001  # a column
    assert bool(ending({model: "x"}, day)) is ends
