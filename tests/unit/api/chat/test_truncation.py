"""A request that is too long loses its oldest turns, if it may, and never its instructions nor its last turn."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace
from typing_extensions import override

from chatfleet_api.chat.steps import single_step
from chatfleet_api.chat.truncation import truncated
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Token
from chatfleet_api.domain.request import RESPONSES, ChatRequest, Message, Sent
from chatfleet_api.providers.provider import AnswerItem, ItemBatch, Opening
from harness.pods.runs import STOP, FakeProvider

ROLES = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}
TOO_LONG = ChatError(Code.CONTEXT_TOO_LONG)


def request(roles: str, *, truncates: bool = True) -> ChatRequest:
    """Return a request whose messages have the roles with these letters, and their places as text."""
    messages = (Message(ROLES[role], str(at)) for at, role in enumerate(roles))  # type: ignore[arg-type]
    return ChatRequest("m", tuple(messages), truncates=truncates)


@pytest.mark.parametrize(
    ("roles", "kept"),
    [
        ("suauau", "05"),
        ("uauauau", "456"),
        ("uatau", "4"),
        ("sususu", "05"),
        ("uattat", None),
        ("su", None),
        ("", None),
    ],
)
def test_about_half_is_left_out_up_to_a_turn_of_the_user(roles: str, kept: str | None) -> None:
    shorter = truncated(request(roles))
    assert (None if shorter is None else "".join(str(message.content) for message in shorter.messages)) == kept


def test_what_may_not_be_truncated_stays() -> None:
    assert truncated(request("uauau", truncates=False)) is None


def item(role: str, at: int) -> dict[str, str]:
    """Return an item with the role of this letter, and its place as text; `c` stands for a compaction."""
    if role in "tc":
        return {"type": {"t": "function_call_output", "c": "compaction"}[role], "call_id": str(at)}
    return {"role": ROLES[role], "content": str(at)}


def places(items: Sequence[dict[str, str]]) -> str:
    return "".join(each.get("content") or each["call_id"] for each in items)


@pytest.mark.parametrize(
    ("before", "own", "kept"),
    [
        ("", "suauau", "05"),
        ("uauauau", "", "456"),
        ("uau", "atau", "6"),
        ("sua", "uau", "05"),
        ("uac", "au", "4"),
        ("uauc", "aaat", "34567"),
        ("ua", "text", "text"),
        ("uattat", "", None),
        ("", "u", None),
        ("", "text", None),
    ],
)
def test_the_items_of_an_upstream_of_the_same_api_are_shortened_alike(before: str, own: str, kept: str | None) -> None:
    """They are those of earlier turns, and those of the request."""
    earlier = tuple((json.dumps(item(role, at)), "") for at, role in enumerate(before))
    given: Any = own if own == "text" else [item(role, at) for at, role in enumerate(own, len(before))]
    body = Raw(json.dumps({"input": given, "field_of_next_year": 1}).encode())
    asked = ChatRequest("m", (), truncates=True, sent=Sent(RESPONSES, body, 0, before=earlier))
    shorter = truncated(asked)
    if kept is None:
        assert shorter is None
        return
    assert shorter is not None
    assert shorter.sent is not None
    rest = json.loads(bytes(shorter.sent.body))
    assert rest.pop("field_of_next_year") == 1
    theirs = [json.loads(text) for text, _ in shorter.sent.before]
    assert (places(theirs) + rest["input"] if own == "text" else places([*theirs, *rest["input"]])) == kept
    assert truncated(replace(asked, truncates=False)) is None


class Limited(FakeProvider):
    """Takes a number of messages."""

    def __init__(self, limit: int) -> None:
        super().__init__((Token("yes"),), (STOP,))
        self.limit = limit

    @override
    def open(self, request: ChatRequest) -> Opening:
        self.steps = (TOO_LONG,) if len(request.messages) > self.limit else ((Token("yes"),), (STOP,))
        return super().open(request)


async def test_a_request_is_shortened_until_it_fits() -> None:
    provider, got = Limited(3), list[AnswerItem]()
    await single_step(provider, request("uauauauau"), got.extend)
    assert [len(asked.messages) for asked in provider.asked] == [9, 3]
    assert got == [Token("yes"), STOP]


@pytest.mark.parametrize(
    ("provider", "truncates"),
    [(FakeProvider(TOO_LONG), False), (FakeProvider((Token("a"),), TOO_LONG), True)],
    ids=["not allowed", "after the first token"],
)
async def test_otherwise_it_fails(provider: FakeProvider, *, truncates: bool) -> None:
    got: list[ItemBatch] = []
    with pytest.raises(ChatError) as caught:
        await single_step(provider, request("uauau", truncates=truncates), got.append)
    assert caught.value.code is Code.CONTEXT_TOO_LONG
    assert len(provider.asked) == 1
