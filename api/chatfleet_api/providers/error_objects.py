"""Errors as upstreams write them, in the many shapes of those who imitate OpenAI or Anthropic. Pure."""

import json
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from chatfleet_api.providers.surrogates import replaced

_WRAPPERS: Final = ("error", "errors", "detail")
"""Fields that hold an error: OpenAI's and Anthropic's, Cloudflare's, and FastAPI's."""
_TEXTS: Final = ("message", "msg", "error_message", "error_msg")
_KINDS: Final = ("type", "error_type", "status")
_CODES: Final = ("code", "error_code", "status_code", "statusCode", "status", "http_status", "http_code")
"""Fields that name the error, or have its HTTP status as a number or as text."""
_ERROR_STATUSES: Final = range(400, 600)
_MAX_DIGITS: Final = 9
_MAX_LEVELS: Final = 4


class ErrorObject(msgspec.Struct):
    """What is known of an error."""

    message: str | None = None
    type: str | None = None
    code: str | int | None = None
    """The vendor's name for it, or a number."""
    status: int | None = None
    """HTTP status, wherever it stands."""

    def __bool__(self) -> bool:
        return bool(self.message or self.type or self.code or self.status)


def parse_error(body: bytes) -> ErrorObject:
    """Return the error in the body of a response; an empty one when it is not JSON."""
    try:
        return error_of(json.loads(body.decode("utf-8", "replace"), strict=False))
    except (ValueError, RecursionError):
        return ErrorObject()


def error_of(value: object, levels: int = _MAX_LEVELS) -> ErrorObject:
    """Return the error in a JSON value: an object, one inside another, the first of a list (Gemini), or a text."""
    if isinstance(value, str):
        return ErrorObject(text_of(value) or None)
    if isinstance(value, list):
        return _of_list(value, levels)
    if not isinstance(value, dict) or not levels:
        return ErrorObject()
    outer = _fields(value, levels)
    for name in _WRAPPERS:
        if inner := error_of(value.get(name), levels - 1):
            return ErrorObject(
                inner.message or outer.message,
                inner.type or outer.type,
                inner.code or outer.code,
                inner.status or outer.status,
            )
    return outer


def text_of(value: object) -> str:
    """Return a string without half surrogate pairs; nothing for another value."""
    return replaced(value) if isinstance(value, str) else ""


def _of_list(values: list[Any], levels: int) -> ErrorObject:
    """Return the first error of a list, and the messages of all."""
    errors = [error for value in values if (error := error_of(value, levels - 1))] if levels else []
    if not errors:
        return ErrorObject()
    message = "; ".join(error.message for error in errors if error.message)
    return replace(errors[0], message=message or None)


def _fields(value: dict[str, Any], levels: int) -> ErrorObject:
    message = next((value[name] for name in _TEXTS if value.get(name)), None)
    text = text_of(message) or error_of(message, levels - 1).message or (_json(message) if message else None)
    if text and isinstance(value.get("loc"), list):  # where FastAPI found a fault
        text = f"{'.'.join(map(str, value['loc']))}: {text}"
    kinds, codes = ([value.get(name) for name in names] for names in (_KINDS, _CODES))
    return ErrorObject(
        text,
        next((kind for kind in kinds if isinstance(kind, str) and kind and kind != "error"), None),
        next((code for code in codes if isinstance(code, str | int) and not isinstance(code, bool) and code), None),
        next((status for code in (*codes, *kinds) if (status := _status(code))), None),
    )


def _status(code: object) -> int | None:
    """Return the HTTP status of an error that a number, or a text of digits, is."""
    if isinstance(code, str) and code.strip().isdecimal() and len(code) < _MAX_DIGITS:
        code = int(code)
    if not isinstance(code, int | float) or isinstance(code, bool):
        return None
    return int(code) if code in _ERROR_STATUSES else None


def _json(value: object) -> str:
    try:
        return json.dumps(value)
    except RecursionError:
        return ""
