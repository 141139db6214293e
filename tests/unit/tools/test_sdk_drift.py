"""What a vendor's SDK has in its types: fields, and the words that these may have."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Literal, NotRequired

import pytest
from pydantic import BaseModel
from typing_extensions import TypedDict

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def drift() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sdk_drift", ROOT / "tools/sdk_drift.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Part(TypedDict):
    kind: Literal["text", "image"]
    inner: NotRequired[list["Part"]]


class Answer(BaseModel):
    parts: list[Part] | None = None
    reason: Literal["stop"] | None = None


def test_fields_and_words_are_found_at_any_depth(drift: ModuleType) -> None:
    assert drift.inventory({"answer": Answer}) == {
        "Answer.parts",
        "Answer.reason",
        "Answer.reason = 'stop'",
        "Part.kind",
        "Part.kind = 'text'",
        "Part.kind = 'image'",
        "Part.inner",
    }


def test_all_types_of_requests_answers_and_events_are_there(drift: ModuleType) -> None:
    assert drift._roots().keys() == set(drift.ROOTS)  # noqa: SLF001  # the tool has no other users
    found = drift.inventory(drift._roots())  # noqa: SLF001
    words = ("MessageCreateParamsStreaming.thinking", "ResponseUsage.input_tokens", "Message.stop_reason = 'refusal'")
    for known in words:
        assert any(known in line for line in found), known
