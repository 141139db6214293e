"""A request whose input is too long for its model, without its oldest turns. Pure.

An upstream of the OpenAI Responses API gets `truncation` as well, and leaves turns out itself; what it rejects all the
same is shortened as for any other.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from chatfleet_api.chat.item_kinds import MESSAGE
from chatfleet_api.chat.items import kind_of
from chatfleet_api.domain.request import RESPONSES, ChatRequest, Sent

_INSTRUCTIONS: Final = ("system", "developer")
_TEXT: Final[Mapping[str, Any]] = {"role": "user"}
"""Stands for an input that is a text."""
_NULL: Final = msgspec.Raw(b"null")
_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_input: Final = msgspec.json.Decoder(str | list[msgspec.Raw] | None).decode
_item: Final = msgspec.json.Decoder(dict[str, Any]).decode


class _Gap(NamedTuple):
    """What is left out of a list: from one place up to another."""

    begins: int
    ends: int


def truncated(request: ChatRequest) -> ChatRequest | None:
    """Return `request` without about the older half of its input; None when it may not be, or has but one turn.

    Instructions at the beginning stay. What follows them begins with the user, so that no result of a tool stands
    without its call.
    """
    if not request.truncates:
        return None
    messages, gap = request.messages, _gap([message.role for message in request.messages])
    sent = request.sent
    shorter = _shorter(sent) if sent is not None and sent.dialect == RESPONSES else None
    if gap is None and shorter is None:
        return None
    if gap is not None:
        messages = (*messages[: gap.begins], *messages[gap.ends :])
    return replace(request, messages=messages, sent=shorter or sent)


def _shorter(sent: Sent) -> Sent | None:
    """Return what the client sent, for an upstream of its own API, without about the older half of the items."""
    fields = _fields(sent.body)
    given = _input(fields.get("input", _NULL))
    own = [_item(item) for item in given] if isinstance(given, list) else [_TEXT] if given else []
    gap = _gap([_role(item) for item in (*(_item(text) for text, _ in sent.before), *own)])
    if gap is None:
        return None
    earlier = len(sent.before)
    before = (*sent.before[: gap.begins], *sent.before[gap.ends :])
    if gap.ends <= earlier or not isinstance(given, list):
        return replace(sent, before=before)
    kept = (*given[: max(0, gap.begins - earlier)], *given[gap.ends - earlier :])
    body = msgspec.json.encode({**fields, "input": kept})
    return replace(sent, before=before, body=msgspec.Raw(body), messages=len(kept))


def _role(item: Mapping[str, Any]) -> str:
    """Return whose an item is. A compaction stands for the turns before it, as a message of the user does."""
    kind = kind_of(item)
    if kind == MESSAGE:
        return str(item.get("role"))
    return "user" if kind == "compaction" else "assistant"


def _gap(roles: Sequence[str]) -> _Gap | None:
    begins = next((at for at, role in enumerate(roles) if role not in _INSTRUCTIONS), len(roles))
    turns = [at for at, role in enumerate(roles) if role == "user" and at > begins]
    if not turns:
        return None
    middle = begins + (len(roles) - begins + 1) // 2
    return _Gap(begins, next((at for at in turns if at >= middle), turns[-1]))
