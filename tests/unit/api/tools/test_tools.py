"""The parts of a tool call that need no server: headers, arguments, results, names."""

from pathlib import Path

import pytest
from mcp_types import CallToolResult, ImageContent, TextContent

from chatfleet_api.domain.tools import arguments_of, name_for_models
from chatfleet_api.tools.arguments import wrong_arguments
from chatfleet_api.tools.content import MAX_CHARACTERS, bounded, text_of
from chatfleet_api.tools.headers import UnusableHeaderError, read_headers

SCHEMA = {"type": "object", "properties": {"key": {"type": "string"}}, "required": ["key"]}


def test_headers_are_the_files_of_a_secret_without_those_of_the_kubelet(tmp_path: Path) -> None:
    (tmp_path / "Authorization").write_text("Bearer a\n")
    (tmp_path / "..data").mkdir()
    assert read_headers(str(tmp_path)) == {"Authorization": "Bearer a"}
    (tmp_path / "Authorization").write_text("Bearer b")
    assert read_headers(str(tmp_path)) == {"Authorization": "Bearer b"}
    assert read_headers(None) == {}


@pytest.mark.parametrize(("name", "value"), [("Host", "a"), ("X-Key", ""), ("X-Key", "a\r\nHost: b"), ("X-Key", "ü")])
def test_a_header_that_cannot_be_sent_is_named_without_its_value(tmp_path: Path, name: str, value: str) -> None:
    (tmp_path / name).write_text(value)
    with pytest.raises(UnusableHeaderError, match=f"key {name} of its Secret"):
        read_headers(str(tmp_path))


def test_a_missing_secret_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UnusableHeaderError, match="create it"):
        read_headers(str(tmp_path / "none"))


def test_arguments_are_checked_and_the_model_learns_what_is_wrong() -> None:
    assert wrong_arguments({"key": "a"}, SCHEMA) == ""
    assert wrong_arguments({"key": 1}, SCHEMA) == "$.key: 1 is not of type 'string'"
    assert "'key' is a required property" in wrong_arguments({}, SCHEMA)


def test_a_schema_that_refers_elsewhere_is_not_fetched() -> None:
    schema = {"type": "object", "properties": {"key": {"$ref": "http://127.0.0.1:9/schema"}}}
    assert "refers to what it does not have" in wrong_arguments({"key": 1}, schema)
    assert "is not valid" in wrong_arguments({}, {"type": "nothing"})


@pytest.mark.parametrize(
    ("text", "arguments"), [("", {}), ('{"a":1}', {"a": 1}), ("[]", None), ("{", None), ("[" * 9999, None)]
)
def test_arguments_are_a_json_object(text: str, arguments: object) -> None:
    assert arguments_of(text) == arguments


def test_a_result_is_its_texts_and_names_what_is_no_text() -> None:
    image = ImageContent(type="image", data="aGk=", mime_type="image/png")
    result = CallToolResult(content=[TextContent(type="text", text="found"), image])
    assert text_of(result) == "found\n[The tool returned a part of type image, which is no text.]"
    assert text_of(CallToolResult(content=[], structured_content={"ä": 1})) == '{"ä": 1}'


def test_a_long_result_is_cut_with_a_word() -> None:
    cut = bounded("a" * (MAX_CHARACTERS + 1))
    assert cut.startswith("a" * MAX_CHARACTERS)
    assert cut.endswith(f"[The result has {MAX_CHARACTERS + 1} characters; the rest was left out.]")


def test_a_name_is_one_that_vendors_take() -> None:
    assert name_for_models("tickets", "find.all/open") == "tickets__find_all_open"
    assert len(name_for_models("tickets", "a" * 128)) == 64
