"""Bytes of a request to a typed body, for every dialect; an invalid one is reported by field, with the remedy."""

import re
from typing import Any, Final, TypeVar

import msgspec

from chatfleet_api.domain.errors import ChatError, Code

T = TypeVar("T")

MAX_DEPTH: Final = 64
"""Deepest nesting of the free parts of a body (JSON schemas of tools and answers); far above what vendors take."""

_SHOWN: Final = 200
"""Characters of a message that are kept, because it may quote the request."""
_MESSAGE: Final = re.compile(r"(?P<what>.*?)(?: - at (?:`key` in )?`\$\.?(?P<path>.*?)(?:\[\.\.\.\].*)?`)?", re.DOTALL)
_FIELD: Final = re.compile(r"Object (?P<what>missing required|contains unknown) field `(?P<name>.*)`", re.DOTALL)


class _StreamField(msgspec.Struct):
    stream: bool | None = None


_STREAM: Final = msgspec.json.Decoder(_StreamField)


def decode_body(raw: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Return the body; raise `ChatError(INVALID_REQUEST)`, with the offending field as `param`, when it is wrong."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as wrong:
        raise invalid(wrong) from None
    except msgspec.DecodeError as wrong:
        message = f"The body is not valid JSON: {wrong}." if raw else "The body is empty; send a JSON object."
        raise ChatError(Code.INVALID_REQUEST, message) from None
    except UnicodeDecodeError:
        raise ChatError(Code.INVALID_REQUEST, "The body is not valid UTF-8; encode the JSON text as UTF-8.") from None
    except RecursionError:
        raise too_deep(None) from None


def convert_body(body: object, kind: type[T], where: str = "") -> T:
    """Return decoded JSON, which is in the field `where`, as a body; raises as `decode_body` does."""
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as wrong:
        raise invalid(wrong, where) from None


def stream_field(raw: bytes) -> bool | None:
    """Return the field `stream` of a body that nothing has checked, None when it is absent or not readable."""
    try:
        return _STREAM.decode(raw).stream
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def require_json(content_type: str | None) -> None:
    """Raise `ChatError(UNSUPPORTED_MEDIA_TYPE)` unless the body is declared as JSON.

    A web page of another origin cannot declare that without a CORS preflight, so no visitor's browser can spend here.
    """
    if content_type is None or content_type.partition(";")[0].strip().lower() != "application/json":
        raise ChatError(Code.UNSUPPORTED_MEDIA_TYPE, "The body must be JSON; send Content-Type: application/json.")


def limit_depth(value: Any, param: str, depth: int = MAX_DEPTH) -> None:  # noqa: ANN401  # any JSON value
    """Raise `ChatError(INVALID_REQUEST)` when `value` nests deeper than `depth`."""
    if not isinstance(value, dict | list | tuple):
        return
    if depth == 0:
        raise too_deep(param)
    for item in value.values() if isinstance(value, dict) else value:
        limit_depth(item, param, depth - 1)


def too_deep(param: str | None) -> ChatError:
    """Return the error for a body that nests too deeply."""
    return ChatError(Code.INVALID_REQUEST, f"The JSON nests too deeply; stay within {MAX_DEPTH} levels.", param=param)


def invalid(wrong: msgspec.ValidationError, where: str = "") -> ChatError:
    """Return the error for a value of the field `where`, the body if empty.

    Translates msgspec's sentence, such as "Expected `int`, got `str` - at `$.messages[0].role`".
    """
    text = str(wrong)
    parts = _MESSAGE.fullmatch(text)
    what, path = (parts["what"], parts["path"] or "") if parts else (text, "")
    path = f"{where}.{path}" if where and path else where or path
    if field := _FIELD.fullmatch(what):
        param = f"{path}.{field['name']}".removeprefix(".")[:_SHOWN]
        missing = field["what"] == "missing required"
        message = f"Missing required parameter: '{param}'." if missing else f"Unknown parameter: '{param}'. Remove it."
        return ChatError(Code.INVALID_REQUEST, message, param=param)
    message = f"{what[:1].lower()}{what[1:_SHOWN]}".replace("`", "")
    if not path:
        return ChatError(Code.INVALID_REQUEST, f"The body is not valid: {message}.")
    return ChatError(Code.INVALID_REQUEST, f"Invalid value for '{path}': {message}.", param=path)
