"""What makes two requests equal: tenant, model, and all of the request that its upstream gets. Pure.

Two dialects never share an answer: each has in it what the other one cannot show.
"""

import hashlib
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.response_cache.cacheable import Fields, fields_of, has_parameters_alone, is_cacheable
from chatfleet_contract.runtime import RuntimeProvider
from chatfleet_contract.spec.providers import Model

FORMAT: Final = b"1"
"""Of what is kept under a key."""
OURS: Final = frozenset({"model", "stream", "store", "background", "conversation", "previous_response_id"})
"""Fields of a body that no upstream gets as they are: the pods act on them."""
_STREAM_OPTIONS: Final = ("include_usage", "include_obfuscation")
_NOT_SENT: Final = {"timeouts", "retries", "maxConcurrentRequests"}

_sorted: Final = msgspec.json.Encoder(order="sorted").encode


def model_mark(model: Model, provider: RuntimeProvider) -> bytes:
    """Return what stands for a model as the configuration has it: another upstream, or parameter, is another model."""
    settings = {name: value for name, value in provider.document().items() if name not in _NOT_SENT}
    named = {"name": model.name, "model": model.model, "parameters": model.parameters.document()}
    return _sorted([settings, named])


def cache_key(tenant: str, mark: bytes, request: ChatRequest) -> str | None:
    """Return the key of a request to the model of this `mark`; None: it may not be answered from the cache."""
    if not is_cacheable(request):
        return None
    fields = fields_of(request)
    if fields is None or not has_parameters_alone(request, fields):
        return None
    try:
        parts = (FORMAT, mark, *_parts(request, fields))
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return None
    digest = hashlib.blake2b(key=hashlib.blake2b(tenant.encode()).digest(), digest_size=32)
    for part in parts:
        digest.update(len(part).to_bytes(8))
        digest.update(part)
    return digest.hexdigest()


def _parts(request: ChatRequest, fields: Fields) -> list[bytes]:
    """Return all that the upstream gets. A hint of ours to where the prompt is cached changes no answer."""
    parts = [_sorted(replace(request, sent=None, affinity=None, routing=None))]
    if request.sent is not None:
        sent = request.sent
        words = {name: value for name, value in fields.items() if name not in OURS}
        words["stream_options"] = _upstreams(fields.get("stream_options"))
        parts += [_sorted([sent.dialect, sent.in_common_terms, sent.messages, sent.headers, sent.before])]
        parts += [_sorted(words)]
    return parts


def _upstreams(options: Any) -> Any:  # noqa: ANN401  # JSON of the client's
    if not isinstance(options, dict):
        return None
    return {name: value for name, value in options.items() if name not in _STREAM_OPTIONS} or None
