"""The request of a client of OpenAI's chat completions, for an upstream that speaks them too: as it was sent. Pure.

Changed are the model's name, the stream with its usage (unless the answer is audio in one piece), parameters of the
catalogue that the request does not set, and what an upstream is known to refuse: ids of tool calls that are too long,
images of other roles than the user, and for imitations the role `developer`. Imitations get the limit of tokens under
both of its names, since few know the new one.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from chatfleet_api.domain.request import ChatRequest, ImagePart, Message, Sent
from chatfleet_api.providers.images import ELSEWHERE, source
from chatfleet_api.providers.vendors.openai.conversation import short_id
from chatfleet_contract.spec.providers import Compatibility

_DEFAULTS: Final = ("temperature", "top_p")
_LIMITS: Final = ("max_completion_tokens", "max_tokens")
_TRUE: Final = msgspec.Raw(b"true")
_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_messages: Final = msgspec.json.Decoder(list[dict[str, Any]]).decode
_objects: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_encode: Final = msgspec.json.Encoder().encode

Adapt = Callable[[Sequence[Message]], list[Message]]
"""Returns the messages as the upstream takes them, equal ones where it takes them as they are."""


def body(request: ChatRequest, sent: Sent, compatibility: Compatibility, adapt: Adapt) -> dict[str, Any]:
    """Return the fields of the request, each as it was sent but for what its upstream requires."""
    fields: dict[str, Any] = dict(_fields(sent.body))
    own, added = request.messages[: sent.messages], request.messages[sent.messages :]
    if adapt(own) != list(own):
        fields["messages"] = [*_adapted(own, _messages(fields["messages"]), adapt), *added]
    elif added:
        fields["messages"] = [*_objects(fields["messages"]), *added]
    fields["model"] = request.model
    for name in _DEFAULTS:
        if getattr(request, name) is not None and not _is_set(fields, name):
            fields[name] = getattr(request, name)
    if request.max_tokens is not None and not any(_is_set(fields, name) for name in _LIMITS):
        fields["max_completion_tokens"] = request.max_tokens
    streams = compatibility.stream and not _is_spoken_in_one_piece(fields)
    fields["stream"] = streams
    options = _options(fields.pop("stream_options", None))
    if streams and compatibility.stream_options:
        fields["stream_options"] = options | {"include_usage": _TRUE}
    return fields


def with_both_limits(fields: dict[str, Any]) -> dict[str, Any]:
    """Return `fields` with the limit of tokens under the old name, too."""
    if _is_set(fields, "max_completion_tokens") and not _is_set(fields, "max_tokens"):
        return {**fields, "max_tokens": fields["max_completion_tokens"]}
    return fields


def _is_spoken_in_one_piece(fields: dict[str, Any]) -> bool:
    """Return whether the client wants audio that is not streamed: most of its formats exist only so."""
    return _is_set(fields, "audio") and fields.get("stream") != _TRUE


def _is_set(fields: dict[str, Any], name: str) -> bool:
    return bool(fields.get(name, _NULL) != _NULL)


_NULL: Final = msgspec.Raw(b"null")


def _options(raw: msgspec.Raw | None) -> dict[str, msgspec.Raw]:
    """Return the client's options of the stream without padding, which is not passed on."""
    options = {} if raw is None or raw == _NULL else dict(_fields(raw))
    if options.get("include_obfuscation") == _TRUE:
        del options["include_obfuscation"]
    return options


def _adapted(own: Sequence[Message], raw: list[dict[str, Any]], adapt: Adapt) -> list[dict[str, Any]]:
    """Return the messages with nothing else changed than what `adapt` changes."""
    takes_developers = adapt([Message("developer", "")])[0].role == "developer"
    result: list[dict[str, Any]] = []
    waiting: list[Any] = []
    for message, fields in zip(own, raw, strict=True):
        if message.role != "tool" and waiting:
            _append_images(result, waiting, is_user=message.role == "user", fields=fields)
            joined, waiting = message.role == "user", []
            if joined:
                continue
        changed = _with_short_ids(fields)
        if message.role == "developer" and not takes_developers:
            changed["role"] = "system"
        if message.role != "user" and _has_images(message):
            images = [part for part in fields["content"] if part.get("type") == "image_url"]
            rest = [part for part in fields["content"] if part.get("type") != "image_url"]
            changed["content"] = rest or ELSEWHERE
            waiting += [{"type": "text", "text": f"Images {source(message)}:"}, *images]
        result.append(changed)
    if waiting:
        result.append({"role": "user", "content": waiting})
    return result


def _append_images(result: list[dict[str, Any]], images: list[Any], *, is_user: bool, fields: dict[str, Any]) -> None:
    """Append moved images, at the beginning of the user's message if it comes next."""
    if not is_user:
        result.append({"role": "user", "content": images})
        return
    content = fields.get("content") or []
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    result.append({**fields, "content": [*images, *parts]})


def _has_images(message: Message) -> bool:
    return isinstance(message.content, list) and any(isinstance(part, ImagePart) for part in message.content)


def _with_short_ids(fields: dict[str, Any]) -> dict[str, Any]:
    changed = dict(fields)
    if isinstance(ident := fields.get("tool_call_id"), str):
        changed["tool_call_id"] = short_id(ident)
    if calls := fields.get("tool_calls"):
        changed["tool_calls"] = [{**call, "id": short_id(call["id"])} if call.get("id") else call for call in calls]
    return changed
