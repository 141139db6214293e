"""Error responses of upstreams map to codes, and their text stays out of public messages."""

import pytest

from chatfleet_api.domain.errors import FACTS, Code
from chatfleet_api.providers.error_objects import ErrorObject
from chatfleet_api.providers.upstream_errors import MAX_PUBLIC_CHARS, from_event, from_response, retry_after


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
        ({"retry-after": "Sat, 21 Oct 2056 07:28:00 GMT", "date": DATE}, 86_400.0),
        ({"retry-after": "946080000"}, 86_400.0),
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


@pytest.mark.parametrize(
    "message",
    [
        "prompt is too long: 210000 tokens > 200000 maximum",
        "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
        "Your input exceeds the context window of this model.",
        "the request exceeds the available context size. try increasing the context size",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "This model's maximum prompt length is 131072 but the request contains 140000 tokens.",
        "Input is too long for requested model.",
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096.",
        "Input validation error: `inputs` must have less than 1024 tokens. Given: 2000",
        "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
        "Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
        "too many tokens: size limit exceeded by 20 tokens.",
        "Please reduce the length of the messages or completion.",
    ],
)
@pytest.mark.parametrize("status", [400, 422])
def test_a_prompt_that_is_too_long_is_known_by_every_vendors_words(status: int, message: str) -> None:
    assert from_response(status, {}, body(message)).code is Code.CONTEXT_TOO_LONG


@pytest.mark.parametrize(
    "said",
    [
        b'[{"error":{"code":400,"message":"why","status":"INVALID_ARGUMENT"}}]',
        b'{"detail":"why"}',
        b'{"detail":{"message":"why"}}',
        b'{"object":"error","message":{"detail":[{"msg":"why"}]},"type":"invalid_request_error"}',
        b'{"success":false,"errors":[{"code":1000,"message":"why"}]}',
        b'{"errors":["why"]}',
        b'{"error":"why","error_type":"validation"}',
        b'{"error":{"message":"why","code":null,"param":[]}}',
        b'{"message":"why"}',
    ],
)
def test_the_message_of_a_rejection_is_found_in_every_shape(said: bytes) -> None:
    error = from_response(400, {}, said)
    assert (error.code, error.message) == (Code.UPSTREAM_REJECTED, "why")


def test_fastapi_names_the_field() -> None:
    said = b'{"detail":[{"loc":["body","n"],"msg":"too small"},{"loc":["body","m"],"msg":"missing"}]}'
    assert from_response(422, {}, said).message == "body.n: too small; body.m: missing"


@pytest.mark.parametrize("said", [b"[" * 100_000, b'{"error":' * 100_000, b'{"a":' * 9 + b"1" + b"}" * 9, b"[]", b"7"])
def test_a_body_without_an_error_is_none(said: bytes) -> None:
    assert from_response(500, {}, said).code is Code.UPSTREAM_ERROR


def test_azures_content_filter_has_its_own_code() -> None:
    error = from_response(400, {}, body("The response was filtered.", code="content_filter"))
    assert (error.code, error.message) == (Code.CONTENT_FILTERED, "The response was filtered.")
    assert not FACTS[error.code].try_fallback


def test_a_number_that_is_no_status_does_not_decide() -> None:
    assert from_event(ErrorObject("broken", code=1000)).code is Code.UPSTREAM_ERROR


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20ms"}, 0.02),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1.5s"}, 1.5),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}, 60),
        ({"x-ratelimit-remaining-tokens": "5", "x-ratelimit-reset-tokens": "6m0s"}, None),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "soon"}, None),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": ""}, None),
        ({"x-ratelimit-remaining-tokens": "0"}, None),
        (
            {
                "anthropic-ratelimit-requests-remaining": "3",
                "anthropic-ratelimit-requests-reset": "2026-01-01T00:00:50Z",
                "anthropic-ratelimit-input-tokens-remaining": "0",
                "anthropic-ratelimit-input-tokens-reset": "2026-01-01T00:00:07Z",
                "date": "Thu, 01 Jan 2026 00:00:00 GMT",
            },
            7,
        ),
        ({"retry-after": "3", "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "9s"}, 3),
    ],
)
def test_without_retry_after_the_vendors_own_headers_say_how_long_a_quota_is_used_up(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert from_response(429, headers, b"").retry_after == seconds
    assert from_response(500, headers, b"").retry_after == (3 if "retry-after" in headers else None)
