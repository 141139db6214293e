"""The request of a client of the Responses API, for an upstream that has it, too: as it was sent. Pure.

Changed are the model's name, the stream, parameters of the catalogue that the request does not set, and the state,
which is ours: the input has the items before, and nothing is stored. Padding is not requested. Left out is reasoning
that another model has sealed, and what the upstream has compacted.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from chatfleet_api.domain.request import ChatRequest, Sent
from chatfleet_api.domain.seals import REASONING, SEALS, summary_of
from chatfleet_contract.spec.providers import Compatibility

STATE: Final = frozenset({"background", "conversation", "previous_response_id", "store"})
"""Fields that the pod acts on."""
ENCRYPTED: Final = "reasoning.encrypted_content"
_DEFAULTS: Final = (("temperature", "temperature"), ("top_p", "top_p"), ("max_tokens", "max_output_tokens"))
_NULL: Final = msgspec.Raw(b"null")
_TRUE: Final = msgspec.Raw(b"true")
_SEALED: Final = '"encrypted_content"'
_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_raw_items: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


def body(request: ChatRequest, sent: Sent, compatibility: Compatibility, *, has_cache_key: bool) -> bytes:
    """Return the fields of the request, each as it was sent but for what is ours."""
    fields: dict[str, Any] = {name: raw for name, raw in _fields(sent.body).items() if name not in STATE}
    own = fields.get("input", _NULL)
    earlier = sent.before[_compacted(sent.before, request.model) :]
    before = [_raw(item) for item, model in earlier if model in ("", request.model) or not _is_sealed(item)]
    if before or _may_be_ours(bytes(own)):
        fields["input"] = [found for item in (*before, *_own(own)) if (found := _readable(item)) is not None]
    for name, theirs in _DEFAULTS:
        if getattr(request, name) is not None and fields.get(theirs, _NULL) == _NULL:
            fields[theirs] = getattr(request, name)
    if has_cache_key and request.affinity is not None and fields.get("prompt_cache_key", _NULL) == _NULL:
        fields["prompt_cache_key"] = request.affinity.key
    options = fields.pop("stream_options", _NULL)
    if compatibility.stream and compatibility.stream_options and (rest := _options(options)):
        fields["stream_options"] = rest
    if _needs_encrypted(fields, sent):
        wanted = fields.get("include", _NULL)
        included: list[str] = [] if wanted == _NULL else msgspec.json.decode(wanted)
        if ENCRYPTED not in included:
            fields["include"] = [*included, ENCRYPTED]
    return msgspec.json.encode(fields | {"model": request.model, "store": False, "stream": compatibility.stream})


def _compacted(before: Sequence[tuple[str, str]], model: str) -> int:
    """Return how many items the model's newest compaction stands for: sent again, they would be compacted again."""
    places = range(len(before) - 1, -1, -1)
    return next((at for at in places if before[at][1] == model and _is_compaction(before[at][0])), 0)


def _is_compaction(item: str) -> bool:
    return _SEALED in item and msgspec.json.decode(item).get("type") == "compaction"


def _needs_encrypted(fields: dict[str, Any], sent: Sent) -> bool:
    """Return whether the model reasons: since the upstream stores nothing, its reasoning has to come back encrypted.

    Models that do not reason reject a request for it.
    """
    return fields.get("reasoning", _NULL) != _NULL or any(_is_sealed(item) for item, _ in sent.before)


def _is_sealed(item: str) -> bool:
    """Return whether an item is reasoning that its own model alone can read."""
    return _SEALED in item and "encrypted_content" in msgspec.json.decode(item)


def _may_be_ours(items: bytes) -> bool:
    return any(seal.encode() in items for seal in SEALS)


def _readable(item: object) -> object | None:
    """Return an item as the upstream can read it: our summary as a message; None for reasoning that we have sealed."""
    if not isinstance(item, msgspec.Raw) or not _may_be_ours(bytes(item)):
        return item
    fields = msgspec.json.decode(item)
    encrypted = str(fields.get("encrypted_content")) if isinstance(fields, dict) else ""
    if encrypted.startswith(REASONING):
        return None
    summary = summary_of(encrypted)
    return item if summary is None else {"type": "message", "role": "user", "content": summary}


def _own(given: msgspec.Raw) -> list[Any]:
    """Return the items of the request itself, of which a text is one."""
    if given == _NULL:
        return []
    if bytes(given).lstrip()[:1] == b'"':
        return [{"type": "message", "role": "user", "content": given}]
    return list(_raw_items(given))


def _options(given: msgspec.Raw) -> dict[str, msgspec.Raw]:
    options = {} if given == _NULL else dict(_fields(given))
    if options.get("include_obfuscation") == _TRUE:
        del options["include_obfuscation"]
    return options


def _raw(item: str) -> msgspec.Raw:
    return msgspec.Raw(item.encode())
