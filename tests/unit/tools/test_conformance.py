"""The page of conformance is what probes of the code find, and a probe finds what is lost."""

import importlib.util
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.vendor import Vendor
from chatfleet_api.providers.vendors.table import ANTHROPIC, OPENAI
from chatfleet_contract.spec.providers import Compatibility
from harness.conformance.dialects import CHAT, MESSAGES
from harness.conformance.outcomes import Outcome
from harness.conformance.requests import Pair, properties

ROOT = Path(__file__).parents[3]
WHOLE = 99.5
PROBING = pytest.mark.timeout(60)
"""The first of these tests probes every property, once for all of them."""


@pytest.fixture(scope="module")
def conformance() -> ModuleType:
    spec = importlib.util.spec_from_file_location("conformance", ROOT / "tools/conformance.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tables(conformance: ModuleType) -> dict[str, Any]:
    return {table.title: table for table in conformance.tables()}


@PROBING
def test_the_page_is_as_the_code_makes_it(conformance: ModuleType, tables: dict[str, Any]) -> None:
    assert (ROOT / conformance.PAGE).read_text() == conformance.page_of(list(tables.values()))


@PROBING
def test_nothing_is_lost_without_a_word(tables: dict[str, Any]) -> None:
    lost = [(title, path) for title, table in tables.items() for path, row in table.rows.items() if Outcome.LOST in row]
    assert not lost


@PROBING
@pytest.mark.parametrize(
    ("title", "column"),
    [
        *(("Chat Completions: requests", column) for column in ("OpenAI", "Azure, dated", "Azure v1", "compatible")),
        *(("Responses: requests", f"{name}, `responses`") for name in ("OpenAI", "Azure", "compatible")),
        ("Messages: requests", "Anthropic"),
        ("Conversations: requests", "stored"),
        ("Embeddings: requests", "OpenAI, Azure, compatible"),
        ("Chat completions, whole: answers", "chat"),
        ("Chat completions, streamed: answers", "chat"),
        ("Responses, whole: answers", "responses"),
        ("Responses, streamed: answers", "responses"),
        ("Messages, whole: answers", "messages"),
        ("Messages, streamed: answers", "messages"),
    ],
)
def test_the_provider_of_a_clients_own_api_gets_and_gives_all(
    conformance: ModuleType, tables: dict[str, Any], title: str, column: str
) -> None:
    table = tables[title]
    number = table.columns.index(column)
    assert conformance.accepted([row[number] for row in table.rows.values()]) >= WHOLE


Change = Callable[[dict[str, Any]], dict[str, Any]]


def changed(vendor: Vendor, change: Change) -> Vendor:
    def body(request: ChatRequest, compatibility: Compatibility) -> bytes:
        return json.dumps(change(json.loads(vendor.body(request, compatibility)))).encode()

    return replace(vendor, body=body)


def without(name: str) -> Change:
    return lambda fields: {each: value for each, value in fields.items() if each != name}


def rejecting(vendor: Vendor, param: str) -> Vendor:
    def body(request: ChatRequest, compatibility: Compatibility) -> bytes:
        fields: dict[str, Any] = json.loads(vendor.body(request, compatibility))
        if "logit_bias" in fields:
            raise ChatError(Code.INVALID_REQUEST, f"'{param}' is wrong.", param=param)
        return json.dumps(fields).encode()

    return replace(vendor, body=body)


@pytest.mark.parametrize(
    ("pair", "path", "outcome"),
    [
        (Pair(CHAT, OPENAI), "logit_bias", Outcome.PASSED),
        (Pair(CHAT, changed(OPENAI, without("logit_bias"))), "logit_bias", Outcome.LOST),
        (Pair(CHAT, rejecting(OPENAI, "logit_bias")), "logit_bias", Outcome.REJECTED),
        (Pair(CHAT, rejecting(OPENAI, "tools")), "logit_bias", Outcome.LOST),
        (Pair(CHAT, ANTHROPIC), "logit_bias", Outcome.REJECTED),
        (Pair(CHAT, ANTHROPIC), "temperature", Outcome.TRANSLATED),
        (Pair(CHAT, changed(ANTHROPIC, without("temperature"))), "temperature", Outcome.LOST),
        (Pair(CHAT, ANTHROPIC), "seed", Outcome.HINT),
        (Pair(CHAT, ANTHROPIC), "tool_choice", Outcome.IN_PART),
        (Pair(CHAT, ANTHROPIC), "metadata", Outcome.HONORED),
        (Pair(MESSAGES, ANTHROPIC), "thinking(enabled).budget_tokens", Outcome.PASSED),
        (Pair(MESSAGES, OPENAI), "thinking(enabled).budget_tokens", Outcome.TRANSLATED),
        (Pair(CHAT, None), "temperature", Outcome.HINT),
        (Pair(CHAT, None), "max_tokens", Outcome.HONORED),
    ],
)
def test_a_probe_finds_what_becomes_of_a_property(pair: Pair, path: str, outcome: Outcome) -> None:
    (found,) = [each for each in properties(pair.dialect) if each.path == path]
    assert pair.outcome(found) is outcome


def test_properties_with_the_same_outcomes_share_a_row(conformance: ModuleType) -> None:
    passed, lost = (Outcome.PASSED,), (Outcome.LOST,)
    rows = {"a": passed, "b": passed, "a.x": passed, "a[k].y": passed, "c": passed, "c.x": lost, "ab": passed}
    assert conformance.collapsed(rows) == [
        ("a", 3, passed),
        ("ab", 1, passed),
        ("b", 1, passed),
        ("c", 1, passed),
        ("c.x", 1, lost),
    ]
