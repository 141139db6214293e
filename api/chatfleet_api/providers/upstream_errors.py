"""Maps an upstream's errors to ours: an error response, or an error object in a stream, in, `ChatError` out. Pure.

Status codes and error types are those of https://platform.openai.com/docs/guides/error-codes and
https://platform.claude.com/docs/en/api/errors. A vendor's message reaches the client only where it is about the
client's request.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from msgspec.structs import replace

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.providers.error_objects import ErrorObject, parse_error

MAX_BODY_BYTES: Final = 65_536
"""Limit of what is read of an error's body."""

MAX_PUBLIC_CHARS: Final = 300

_BY_STATUS: Final = MappingProxyType(
    {
        401: Code.UPSTREAM_AUTHENTICATION,
        402: Code.UPSTREAM_AUTHENTICATION,
        403: Code.UPSTREAM_AUTHENTICATION,
        404: Code.MODEL_NOT_FOUND,
        408: Code.UPSTREAM_TIMEOUT,
        409: Code.UPSTREAM_ERROR,  # a lock timeout; the official SDKs retry it too
        413: Code.CONTEXT_TOO_LONG,
        429: Code.UPSTREAM_RATE_LIMITED,
        502: Code.UPSTREAM_UNAVAILABLE,
        503: Code.UPSTREAM_OVERLOADED,
        504: Code.UPSTREAM_TIMEOUT,
        529: Code.UPSTREAM_OVERLOADED,
    }
)

ERROR_CODES: Final = MappingProxyType(
    {
        "context_length_exceeded": Code.CONTEXT_TOO_LONG,
        "exceed_context_size_error": Code.CONTEXT_TOO_LONG,  # llama.cpp
        "content_filter": Code.CONTENT_FILTERED,  # Azure
        "content_policy_violation": Code.CONTENT_FILTERED,
        "request_too_large": Code.CONTEXT_TOO_LONG,
        "insufficient_quota": Code.UPSTREAM_AUTHENTICATION,  # comes as a 429, but no waiting helps
        "billing_error": Code.UPSTREAM_AUTHENTICATION,
        "authentication_error": Code.UPSTREAM_AUTHENTICATION,
        "permission_error": Code.UPSTREAM_AUTHENTICATION,
        "invalid_api_key": Code.UPSTREAM_AUTHENTICATION,
        "model_not_found": Code.MODEL_NOT_FOUND,
        "not_found_error": Code.MODEL_NOT_FOUND,
        "rate_limit_error": Code.UPSTREAM_RATE_LIMITED,
        "rate_limit_exceeded": Code.UPSTREAM_RATE_LIMITED,
        "overloaded_error": Code.UPSTREAM_OVERLOADED,
        "timeout_error": Code.UPSTREAM_TIMEOUT,
    }
)
"""By the error's `code` or `type`, which go before the status. One table, since gateways mix the vendors' names."""

_NUMBER: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_TOO_LONG: Final = re.compile(
    r"|".join(  # noqa: FLY002  # a line for each, with its source
        (
            r"context (length|window)",  # OpenAI, Azure, vLLM, DeepSeek, Groq, Mistral, Ollama, OpenRouter
            r"context (limit|size)",  # Anthropic's "exceed context limit", llama.cpp's "available context size"
            r"maximum context",
            r"maximum prompt length",  # xAI
            r"maximum model length",  # vLLM's offline checks
            r"(prompt|input|request|messages?) (is|are) too (long|large)",  # Anthropic, Amazon Bedrock, Perplexity
            r"too many (input )?tokens",  # Cohere, Amazon Bedrock
            r"input token count .*exceeds",  # Gemini
            r"`?inputs`?( tokens)? (\+|must have less than)",  # text-generation-inference, Together
            r"exceeds the maximum number of tokens",
            r"reduce the length of the (messages|prompt|input)",  # OpenAI, Groq
        )
    ),
    re.IGNORECASE,
)
"""How vendors word that the messages do not fit into the model's context."""
_TOO_LONG_STATUSES: Final = frozenset({400, 413, 422})
_SECRETS: Final = re.compile(r"\b(?:sk|pk|key|api)-[\w-]{6,}|(?i:bearer)\s+\S+")
_ABOUT_THE_REQUEST: Final = frozenset({Code.UPSTREAM_REJECTED, Code.CONTEXT_TOO_LONG, Code.CONTENT_FILTERED})
_LONGEST_WAIT_SECONDS: Final = 86_400.0
"""Longest wait that is passed on; an upstream's clock may be years off."""
_LONGEST_RESET_SECONDS: Final = 60.0
"""Longest wait by other headers than Retry-After: they are about all of a quota, and a part is back earlier."""
_DURATION: Final = re.compile(
    r"(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6}(?:\.[0-9]{1,9})?)s)?(?:([0-9]{1,9}(?:\.[0-9]{1,9})?)ms)?"
)
_NAME_HEADER: Final = "x-amzn-errortype"
_NO_MODEL: Final = "The upstream does not have this model."


def from_response(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    hidden: tuple[str, ...] = (),
    codes: Mapping[str, Code] = ERROR_CODES,
) -> ChatError:
    """Return the error of an HTTP response that is not a success.

    Args:
        status: HTTP status.
        headers: The response's headers, by names in lower case. A date in `retry-after` is read by the one in `date`.
        body: The response's body, or as much of it as was read.
        hidden: Secrets to remove from all texts, such as the API key.
        codes: Codes by the vendor's names of errors.
    """
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        where = clean(headers.get("location", ""), hidden)
        return ChatError(Code.UPSTREAM_UNAVAILABLE, detail=f"HTTP {status} redirects to {where}; correct baseURL")
    error = parse_error(body)
    if not error.type and (name := error_name(headers)):
        error = replace(error, type=name)
    code = _code(status, error, codes)
    text = error.message or body.decode("utf-8", "replace")
    return ChatError(
        code,
        _public(code, error, hidden),
        retry_after=_wait(code, headers),
        detail=clean(f"HTTP {status} {error.type or error.code or ''}: {text}", hidden),
    )


def error_name(headers: Mapping[str, str]) -> str:
    """Return the name of an error where it stands in a header, as at AWS: before a colon and an address."""
    return headers.get(_NAME_HEADER, "").partition(":")[0]


def from_event(error: ErrorObject | str, codes: Mapping[str, Code] = ERROR_CODES) -> ChatError:
    """Return the error of an error object inside a stream."""
    if isinstance(error, str):
        error = ErrorObject(message=error)
    is_callers = error.type == "invalid_request_error"
    status = error.status or (HTTPStatus.BAD_REQUEST if is_callers else HTTPStatus.INTERNAL_SERVER_ERROR)
    code = _code(status, error, codes)
    detail = f"inside the stream, {error.type or error.code or 'error'}: {error.message or ''}"
    return ChatError(code, _public(code, error), detail=clean(detail))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait that the headers ask for, a day at most.

    They stand in `retry-after-ms`, or in `Retry-After` as a number or a date. A date is read by the one in `date`, so
    that neither clock needs to be right.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    wanted = headers.get("retry-after", "")
    seconds = _number(wanted) if milliseconds is None else milliseconds / 1000
    if seconds is None and (date := _date(wanted)) and (now := _date(headers.get("date", ""))):
        seconds = max(0.0, (date - now).total_seconds())
    return None if seconds is None else min(seconds, _LONGEST_WAIT_SECONDS)


def _wait(code: Code, headers: Mapping[str, str]) -> float | None:
    found = retry_after(headers)
    return quota_reset(headers) if found is None and code is Code.UPSTREAM_RATE_LIMITED else found


def quota_reset(headers: Mapping[str, str]) -> float | None:
    """Return the seconds until what is used up resets, by the vendors' own headers; None: they do not have it.

    OpenAI has `x-ratelimit-remaining-requests: 0` and `x-ratelimit-reset-requests: 6m0s`, Anthropic
    `anthropic-ratelimit-requests-remaining: 0` and a date in `…-reset`.
    """
    found: list[float] = []
    for name, value in headers.items():
        if value.strip() != "0" or "ratelimit-" not in name or "remaining" not in name:
            continue
        reset = headers.get(name.replace("remaining", "reset"), "")
        seconds = _duration(reset)
        if seconds is None and (date := _iso_date(reset)) and (now := _date(headers.get("date", ""))):
            seconds = max(0.0, (date - now).total_seconds())
        found += [] if seconds is None else [min(seconds, _LONGEST_RESET_SECONDS)]
    return max(found, default=None)


def _duration(text: str) -> float | None:
    """Return the seconds of a duration like 1h2m3.5s or 20ms."""
    if not (found := _DURATION.fullmatch(text.strip())) or not text.strip():
        return None
    hours, minutes, seconds, milliseconds = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000


def _iso_date(text: str) -> datetime | None:
    try:
        date = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _number(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def clean(text: str, hidden: tuple[str, ...] = (), limit: int = 1_000) -> str:
    """Return `text` on one line, without secrets, cut to `limit` characters."""
    for secret in hidden:
        text = text.replace(secret, "[hidden]")
    text = " ".join(_SECRETS.sub("[hidden]", text).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _code(status: int, error: ErrorObject, codes: Mapping[str, Code]) -> Code:
    for name in (error.code, error.type):
        if isinstance(name, str) and name in codes:
            return codes[name]
    if status in _TOO_LONG_STATUSES and _TOO_LONG.search(error.message or ""):
        return Code.CONTEXT_TOO_LONG
    is_callers = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    return _BY_STATUS.get(status, Code.UPSTREAM_REJECTED if is_callers else Code.UPSTREAM_ERROR)


def _public(code: Code, error: ErrorObject, hidden: tuple[str, ...] = ()) -> str | None:
    """Return the vendor's message if it is about the request; None: use our own."""
    if code is Code.MODEL_NOT_FOUND:
        return _NO_MODEL
    return clean(error.message, hidden, MAX_PUBLIC_CHARS) if code in _ABOUT_THE_REQUEST and error.message else None
