"""Error responses of upstreams map to codes, and their text stays out of public messages."""

import pytest

from chatfleet_api.domain.errors import FACTS, Code
from chatfleet_api.providers.upstream_errors import MAX_PUBLIC_CHARS, from_response, retry_after


def body(message: str, **fields: str) -> bytes:
    more = "".join(f',"{name}":"{value}"' for name, value in fields.items())
    return f'{{"error":{{"message":"{message}"{more}}}}}'.encode()


@pytest.mark.parametrize(
    ("status", "said", "code"),
    [
        (400, body("x", code="context_length_exceeded"), Code.CONTEXT_TOO_LONG),
        (400, body("prompt is too long: 210000 tokens > 200000", type="invalid_request_error"), Code.CONTEXT_TOO_LONG),
        (400, b'{"object":"error","message":"maximum context length is 8 tokens","code":400}', Code.CONTEXT_TOO_LONG),
        (400, body("x", type="invalid_request_error"), Code.UPSTREAM_REJECTED),
        (400, body("x", type="authentication_error"), Code.UPSTREAM_AUTHENTICATION),
        (404, body("The context window", type="not_found_error"), Code.MODEL_NOT_FOUND),
        (404, body("x", code="DeploymentNotFound"), Code.MODEL_NOT_FOUND),
        (409, body("x"), Code.UPSTREAM_ERROR),
        (422, b'{"detail":[{"loc":["body"],"msg":"bad"}]}', Code.UPSTREAM_REJECTED),
        (429, body("x", code="insufficient_quota", type="insufficient_quota"), Code.UPSTREAM_AUTHENTICATION),
        (402, body("x", type="billing_error"), Code.UPSTREAM_AUTHENTICATION),
        (500, b"<html>oops</html>", Code.UPSTREAM_ERROR),
        (500, b'{"error":"oops"}', Code.UPSTREAM_ERROR),
        (204, b"", Code.UPSTREAM_ERROR),
        (599, b"\xff", Code.UPSTREAM_ERROR),
    ],
)
def test_a_refusal_is_told_apart_by_its_own_words_and_then_its_status(status: int, said: bytes, code: Code) -> None:
    assert from_response(status, {}, said).code is code


def test_words_about_the_request_reach_the_caller_short_and_on_one_line() -> None:
    error = from_response(400, {}, body("temperature\\n  must be " + "x" * 400))
    assert error.message.startswith("temperature must be xxx")
    assert len(error.message) == MAX_PUBLIC_CHARS
    assert error.message.endswith("…")


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
def test_no_other_words_reach_the_caller(status: int) -> None:
    error = from_response(status, {}, body("Project 4711 of Acme"))
    assert "4711" not in error.message
    assert "4711" in (error.detail or "")


def test_a_page_of_some_proxy_reaches_nobody_but_the_operator() -> None:
    error = from_response(400, {}, b"<html>squid at 10.0.0.1</html>")
    assert error.message == FACTS[Code.UPSTREAM_REJECTED].message
    assert "squid" in (error.detail or "")


@pytest.mark.parametrize("secret", ["sk-proj-abcdefgh", "Bearer abc.def", "hidden-one"])
def test_secrets_are_hidden_even_from_the_operator(secret: str) -> None:
    error = from_response(400, {}, body(f"You sent {secret} here"), hidden=("hidden-one",))
    assert error.message == "You sent [hidden] here"
    assert secret not in str(error)


def test_a_redirect_tells_the_operator_what_to_correct() -> None:
    error = from_response(308, {"location": "https://elsewhere"}, b"")
    assert error.code is Code.UPSTREAM_UNAVAILABLE
    assert "https://elsewhere; correct baseURL" in (error.detail or "")


DATE = "Wed, 21 Oct 2026 07:28:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": DATE}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:27:00 GMT", "date": DATE}, 0.0),
        ({"retry-after": DATE}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after-ms": "soon", "retry-after": "3"}, 3.0),
    ],
)
def test_the_wait_that_is_asked_for_is_understood_in_all_its_forms(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after(headers) == seconds
