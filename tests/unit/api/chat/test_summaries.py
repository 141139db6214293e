"""Summaries in the place of the oldest turns: made in the background, one after the other, void once a message goes."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import pytest

from chatfleet_api.chat.summaries import due_summary
from chatfleet_api.chat.window import Window, past_of
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import ContextUse, Usage
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.providers.provider import Finish, Opening
from chatfleet_api.sessions.store import StoredMessage, Summary
from harness.clients.asgi import Exchange, ask, asking, get, post
from harness.pods.api_pod import Pod
from harness.pods.runs import STOP, FakeProvider, text

pytestmark = pytest.mark.looptime

BASE: Final = "/api/v1/conversations"
NOW: Final = "2026-01-01T00:00:00.000+00:00"
WINDOW: Final = Window(80, "compact")
QUESTION: Final = "q".ljust(40, ".")
"""Ten tokens, as each answer has."""
ANSWER: Final = "a".ljust(40, ".")
END: Final = Finish("stop", Usage(estimated=True))
"""Tokens are not counted by the vendor."""
HEADING: Final = "Summary of the conversation until here:"


class Summing:
    """A provider that answers, and writes summaries when it is asked for one."""

    def __init__(self, *summary: Any) -> None:  # noqa: ANN401  # what a script is made of
        self.summaries, self.answers = FakeProvider(*summary), FakeProvider(text(ANSWER), [END])

    def open(self, request: ChatRequest) -> Opening:
        last = str(request.messages[-1].content)
        return (self.summaries if last.startswith("Write a summary") else self.answers).open(request)


def pod_with(provider: Summing, **conversations: Any) -> Pod:  # noqa: ANN401  # fields
    pod = Pod(provider)
    pod.change("conversations", **({"context_tokens": 80, "overflow": "compact"} | conversations))
    return pod


async def begin(pod: Pod) -> str:
    return f"{BASE}/{(await ask(pod.app, post(BASE, {}))).json()['id']}"


async def send(pod: Pod, path: str, turns: int = 1) -> None:
    """Send turns of 20 tokens, each when all is done that followed the one before."""
    for _ in range(turns):
        answer = await ask(pod.app, post(f"{path}/messages", {"content": QUESTION}))
        assert answer.status == 200
        await pod.pool.idle(60)


def contents(request: ChatRequest) -> list[str]:
    return [str(message.content) for message in request.messages]


async def test_a_summary_goes_in_the_place_of_the_oldest_turns() -> None:
    provider = Summing(text("They talked."), [STOP])
    pod = pod_with(provider)
    path = await begin(pod)
    await send(pod, path, turns=3)
    assert provider.summaries.asked == []
    await send(pod, path)
    (asked,) = provider.summaries.asked
    assert contents(asked)[:-1] == [QUESTION, ANSWER] * 2

    sent_next = await ask(pod.app, post(f"{path}/messages", {"content": QUESTION, "stream": True}))
    assert b'"context":{"messages":6,"left_out":4}' in sent_next.body
    sent = contents(provider.answers.asked[-1])
    assert sent == [f"{HEADING}\n\nThey talked.", *[QUESTION, ANSWER] * 2, QUESTION]
    stored = (await ask(pod.app, get(f"{path}/messages"))).json()["messages"]
    assert [each["content"] for each in stored] == [QUESTION, ANSWER] * 5


async def test_the_next_summary_stands_for_the_one_before_it_too() -> None:
    provider = Summing(text("They talked."), [STOP])
    pod = pod_with(provider)
    path = await begin(pod)
    await send(pod, path, turns=7)
    first, *others = provider.summaries.asked
    assert HEADING not in str(first)
    assert {contents(each)[0] for each in others} == {f"{HEADING}\n\nThey talked."}
    assert sum(HEADING in content for content in contents(provider.answers.asked[-1])) == 1


async def test_no_answer_waits_for_a_summary() -> None:
    provider = Summing(50.0, text("Late"), [STOP])
    pod = pod_with(provider)
    path = await begin(pod)
    await send(pod, path, turns=3)
    began = asyncio.get_running_loop().time()
    for _ in range(3):
        assert (await ask(pod.app, post(f"{path}/messages", {"content": QUESTION}))).status == 200
    assert asyncio.get_running_loop().time() - began < 1
    assert not any(HEADING in content for content in contents(provider.answers.asked[-1]))
    await pod.pool.idle(200)
    await send(pod, path)
    assert f"{HEADING}\n\nLate" in contents(provider.answers.asked[-1])


@pytest.mark.parametrize("change", [{"overflow": "trim"}, {"context_tokens": None}, {"context_tokens": 800}])
async def test_there_are_no_other_summaries(change: dict[str, Any]) -> None:
    provider = Summing(text("They talked."), [STOP])
    pod = pod_with(provider, **change)
    await send(pod, await begin(pod), turns=6)
    assert provider.summaries.asked == []


@pytest.mark.parametrize(
    "script", [[ChatError(Code.UPSTREAM_ERROR)], [text("Half"), ChatError(Code.UPSTREAM_TRUNCATED)], [[STOP]]]
)
async def test_without_a_summary_the_oldest_turns_are_left_out(script: Sequence[Any]) -> None:
    provider = Summing(*script)
    pod = pod_with(provider)
    path = await begin(pod)
    await send(pod, path, turns=6)
    assert provider.summaries.asked
    assert len(provider.answers.asked[-1].messages) < 11
    assert not any(HEADING in content for content in contents(provider.answers.asked[-1]))


async def test_a_message_that_is_removed_is_in_no_summary_any_more() -> None:
    provider = Summing(text("They talked."), [STOP])
    pod = pod_with(provider)
    path = await begin(pod)
    await send(pod, path, turns=4)
    name = f"conv_{path.rpartition('/')[2]}"
    items = (await ask(pod.app, get(f"/v1/conversations/{name}/items?order=asc"))).json()["data"]
    assert (await ask(pod.app, Exchange("DELETE", f"/v1/conversations/{name}/items/{items[0]['id']}"))).status == 200
    await send(pod, path)
    assert not any(HEADING in content for content in contents(provider.answers.asked[-1]))


async def test_a_pod_that_drains_begins_no_summary() -> None:
    provider = Summing(text("They talked."), [STOP])
    pod = pod_with(provider)
    path = await begin(pod)
    await send(pod, path, turns=3)
    provider.answers = FakeProvider(text(ANSWER), 5.0, [END])
    sent = post(f"{path}/messages", {"content": QUESTION, "stream": True})
    async with asking(pod.app, sent) as answering:
        await sent.until(b"event: token")
        pod.pool.admission.begin_draining()
        await answering
    assert b"event: complete" in sent.body
    assert provider.summaries.asked == []


def said(*ids: str, removed: str = "") -> tuple[StoredMessage, ...]:
    roles = ("user", "assistant")
    return tuple(
        StoredMessage(each, roles[at % 2], QUESTION, NOW, removed=each == removed)  # type: ignore[arg-type]  # a role
        for at, each in enumerate(ids)
    )


def test_a_summary_stands_for_its_messages_on_its_path_alone() -> None:
    summary = Summary("s", "b", 2)
    assert past_of(WINDOW, said("a", "b", "c"), summary).left_out == 2
    assert past_of(WINDOW, said("a", "x", "c"), summary).left_out == 0
    assert past_of(WINDOW, said("a", "b", "c", removed="a"), summary).left_out == 0
    assert past_of(Window(80, "trim"), said("a", "b", "c"), summary).left_out == 0
    assert past_of(WINDOW, said("a", "b", "c"), None).use(ContextUse(3, 1)) == ContextUse(3, 1)


def test_instructions_stay_and_the_newest_turns_are_in_no_summary() -> None:
    path = (StoredMessage("s", "system", "Be brief.", NOW), *said(*"abcdefgh"))
    assert past_of(WINDOW, path, Summary("x", "b", 3)).messages[0].role == "system"
    due = due_summary(WINDOW, path, None, "m")
    assert due is not None
    assert (due.last, due.messages) == ("f", 7)
    assert due_summary(WINDOW, said(*"ab"), None, "m") is None
    assert Message("user", QUESTION) in due.request.messages
