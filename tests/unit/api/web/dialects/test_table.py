"""The table of dialects: from a path to the dialect that owns it."""

from dataclasses import replace

import pytest

from chatfleet_api.domain.errors import FACTS, Code
from chatfleet_api.web.dialect import Dialect, longest_match
from chatfleet_api.web.dialects import DIALECTS, dialect_of
from chatfleet_api.web.dialects.native import NATIVE
from chatfleet_api.web.dialects.openai import OPENAI
from chatfleet_api.web.dialects.responses import RESPONSES
from harness.pods.api_pod import Pod
from harness.pods.runs import FakeProvider

PRETEND = replace(NATIVE, prefix="/v1/pretend")
"""A dialect of another vendor, whose paths lie among OpenAI's."""


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/v1", OPENAI),
        ("/v1/chat/completions", OPENAI),
        ("/v1/responses", RESPONSES),
        ("/v1/responses/resp_1/cancel", RESPONSES),
        ("/v1/responses2", OPENAI),
        ("/v11", NATIVE),
        ("/api/v1/conversations", NATIVE),
        ("", NATIVE),
        ("*", NATIVE),
    ],
)
def test_the_longest_prefix_owns_a_path(path: str, dialect: Dialect) -> None:
    assert dialect_of(path) is dialect


def test_a_dialect_may_own_paths_among_those_of_another() -> None:
    dialects = (*DIALECTS, PRETEND)
    assert longest_match(dialects, "/v1/pretend/count_tokens") is PRETEND
    assert longest_match(dialects, "/v1/models") is OPENAI


def test_prefixes_are_unique_and_one_dialect_owns_what_no_other_does() -> None:
    prefixes = [dialect.prefix for dialect in DIALECTS]
    assert len(set(prefixes)) == len(prefixes)
    assert "" in prefixes


@pytest.mark.looptime
async def test_the_hot_routes_of_a_dialect_are_its_own_and_documented() -> None:
    services = Pod(FakeProvider()).services
    for dialect in DIALECTS:
        for route in dialect.hot_routes(services):
            assert dialect_of(route.path) is dialect
            assert {"summary", "operationId", "responses"} <= route.operation.keys()


@pytest.mark.parametrize("code", FACTS)
def test_the_word_for_a_code_is_unique_among_those_of_its_status(code: Code) -> None:
    for dialect in DIALECTS:
        words = [dialect.errors.vendor_code(each) for each in FACTS if FACTS[each].status == FACTS[code].status]
        assert len(set(words)) == len(words)
