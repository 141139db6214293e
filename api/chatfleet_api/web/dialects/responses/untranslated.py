"""What a request for a response has beyond the terms of `request.py`: found, named, and left to upstreams of the API.

An upstream of another dialect rejects the request with the first of them.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import msgspec

from chatfleet_api.domain.request import Untranslated
from chatfleet_api.web.body import decode_body

Fields: TypeAlias = dict[str, Any]

_ANY: Final = msgspec.json.Decoder(Any)
_EFFORTS: Final = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})
_FORMATS: Final = frozenset({"text", "json_object", "json_schema"})
_SHOWN: Final = 200


def common_part(
    raw: bytes, body: type[msgspec.Struct], nested: Mapping[str, type[msgspec.Struct]]
) -> tuple[Any, list[Untranslated]]:
    """Return what `body` and the structs of its `nested` fields have of a request, and the names of all else."""
    sent: object = decode_body(raw, _ANY)
    found: list[Untranslated] = []
    if not isinstance(sent, dict):
        return sent, found
    known = _known(sent, body, "", found)
    for name, kind in nested.items():
        if isinstance(known.get(name), dict):
            known[name] = _known(known[name], kind, name, found)
    _take_out(known.get("reasoning"), "effort", "reasoning", found, known=_EFFORTS)
    text = known.get("text")
    form = text.get("format") if isinstance(text, dict) else None
    if isinstance(form, dict) and isinstance(form.get("type"), str) and form["type"] not in _FORMATS:
        found.append(foreign("text.format"))
        known["text"] = {**known["text"], "format": None}
    return known, found


def foreign(param: str) -> Untranslated:
    """Return the part of a request at `param`, with its error."""
    param = param[:_SHOWN]
    message = f"Unsupported value: '{param}', which the model's provider does not have. Omit it."
    return Untranslated(param, message)


def _known(fields: Fields, kind: type[msgspec.Struct], where: str, found: list[Untranslated]) -> Fields:
    for name, value in fields.items():
        if name not in kind.__struct_fields__ and value is not None:
            found.append(foreign(f"{where}.{name}".removeprefix(".")))
    return {name: value for name, value in fields.items() if name in kind.__struct_fields__}


def _take_out(fields: object, name: str, where: str, found: list[Untranslated], *, known: frozenset[str]) -> None:
    """Take out a word which the common terms do not have."""
    if isinstance(fields, dict) and isinstance(fields.get(name), str) and fields[name] not in known:
        found.append(foreign(f"{where}.{name}"))
        fields[name] = None
