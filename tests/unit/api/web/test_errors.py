"""Errors as HTTP answers: the dialect of the path, a true status, and word on whether to try again."""

import json

import pytest

from chatfleet_api.domain.errors import FACTS, ChatError, Code
from chatfleet_api.web.body import require_json
from chatfleet_api.web.dialect import Dialect
from chatfleet_api.web.errors import ErrorResponse, error_frame, error_response, parse_error_response
from harness.clients.events import EventParser
from harness.pods.dialects import EACH_DIALECT, has_codes, path_of


@pytest.mark.parametrize(
    ("path", "vendor"),
    [
        ("/v1/models", True),
        ("/v1/nothing", True),
        ("/v1", True),
        ("/v11", False),
        ("/api/v1/conversations", False),
        ("/", False),
    ],
)
def test_the_path_decides_on_the_dialect(path: str, *, vendor: bool) -> None:
    body = json.loads(error_response(ChatError(Code.NOT_FOUND), path, "q1").body)
    assert ("error" in body) is vendor
    assert (body.get("request_id") == "q1") is not vendor


@pytest.mark.parametrize("code", FACTS)
def test_every_code_has_its_status_and_says_whether_to_try_again(code: Code) -> None:
    answer = error_response(ChatError(code), "/v1/models", "q1")
    headers = dict(answer.headers)
    assert answer.status == FACTS[code].status
    assert headers[b"x-should-retry"] == (b"true" if FACTS[code].retryable else b"false")
    assert (b"retry-after" in headers) is FACTS[code].retryable
    assert headers[b"content-length"] == b"%d" % len(answer.body)


def test_the_time_to_try_again_is_whole_seconds_and_never_too_soon() -> None:
    headers = dict(error_response(ChatError(Code.AT_CAPACITY, retry_after=1.2), "/", "q1").headers)
    assert headers[b"retry-after"] == b"2"


@pytest.mark.parametrize("given", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_a_body_that_is_declared_as_json_is_read(given: str) -> None:
    require_json(given)


@pytest.mark.parametrize("given", [None, "", "text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
def test_a_body_that_a_web_page_of_another_site_could_send_unasked_is_not(given: str | None) -> None:
    with pytest.raises(ChatError) as caught:
        require_json(given)
    assert caught.value.code is Code.UNSUPPORTED_MEDIA_TYPE


@EACH_DIALECT
@pytest.mark.parametrize("code", FACTS)
def test_an_error_that_another_process_answered_is_understood_as_what_it_was(dialect: Dialect, code: Code) -> None:
    path = path_of(dialect)
    answer = error_response(ChatError(code, "No.", param="model", retry_after=7), path, "q1")
    read = parse_error_response(answer, path)
    assert error_response(read, path, "q1").status == answer.status
    assert error_response(read, path, "q1").body == answer.body
    assert read.retry_after == (7 if FACTS[code].retryable else None)
    if has_codes(dialect):
        assert (read.code, read.message, read.param) == (code, "No.", "model")


@pytest.mark.parametrize("body", [b"<html>bad gateway</html>", b"", b"[]", b'{"error": 1}', b"\xff", b"[" * 100_000])
@EACH_DIALECT
def test_an_answer_that_is_no_error_of_ours_is_an_internal_one(dialect: Dialect, body: bytes) -> None:
    assert parse_error_response(ErrorResponse(502, [], body), path_of(dialect)).code is Code.INTERNAL


@EACH_DIALECT
def test_a_stream_that_never_got_a_run_ends_with_one_event_of_its_dialect(dialect: Dialect) -> None:
    error = ChatError(Code.STARTING, "Nobody\u2028\r\n\r\ndata: is there.")
    frame = error_frame(error, path_of(dialect), "q1")
    assert frame == dialect.errors.frame(error, "q1")
    (event,) = EventParser().feed(frame)
    assert "Nobody" in event.data
    assert b"[DONE]" not in frame
