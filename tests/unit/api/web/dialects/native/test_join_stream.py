"""Readers who join a conversation's stream, or come back to it, and what cancels an answer."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from harness.clients.asgi import Exchange, ask, asking, get, post
from harness.pods.api_pod import Pod
from harness.pods.runs import STOP, FakeProvider, text

pytestmark = pytest.mark.looptime

BASE = "/api/v1/conversations"
NOBODY = "00000000-0000-7000-8000-999999999999"


async def begin(pod: Pod) -> str:
    """Begin a conversation and return its path."""
    return f"{BASE}/{(await ask(pod.app, post(BASE, {}))).json()['id']}"


def say(path: str, *, stream: bool = True) -> Exchange:
    return post(f"{path}/messages", {"content": "Hi", "stream": stream})


def resume(path: str, last: str) -> Exchange:
    return Exchange("GET", f"{path}/stream", headers={"last-event-id": last})


def seen(exchange: Exchange) -> list[str]:
    """Return the ids of the events that came."""
    return [line[4:] for line in exchange.body.decode().split("\n") if line.startswith("id: ")]


async def answered(pod: Pod) -> tuple[str, Exchange]:
    """Return the path of a conversation with an answer, and how it came."""
    path = await begin(pod)
    return path, await ask(pod.app, say(path))


def four_events() -> Pod:
    return Pod(FakeProvider(text("a"), 2.0, text("b"), [STOP]))


async def test_who_joins_gets_the_whole_answer_also_after_its_end() -> None:
    path, first = await answered(pod := four_events())
    again = await ask(pod.app, get(f"{path}/stream"))
    assert again.status == 200
    assert seen(again) == seen(first)
    assert len(seen(again)) == 4
    assert b"chatfleet_stream_resumes_total{" not in pod.meter.exposition()


@pytest.mark.feature(12)
@pytest.mark.parametrize("after", [1, 2, 3])
async def test_who_comes_back_gets_what_follows_and_nothing_twice(after: int) -> None:
    path, first = await answered(pod := four_events())
    last = seen(first)[after - 1]
    rest = seen(first)[after:]
    assert seen(await ask(pod.app, resume(path, last))) == rest
    assert seen(await ask(pod.app, get(f"{path}/stream?after={last}"))) == rest
    assert seen(await ask(pod.app, get(f"{path}/stream?after={after}"))) == rest
    assert b'chatfleet_stream_resumes_total{dialect="native"} 3.0' in pod.meter.exposition()


async def test_the_header_wins_over_the_address_that_a_browser_began_at() -> None:
    path, first = await answered(pod := four_events())
    again = Exchange("GET", f"{path}/stream?after=1", headers={"last-event-id": seen(first)[2]})
    assert seen(await ask(pod.app, again)) == seen(first)[3:]


@pytest.mark.feature(12, 44)
async def test_any_number_joins_while_the_answer_is_written() -> None:
    pod = four_events()
    path = await begin(pod)
    asked = say(path)
    joining = [get(f"{path}/stream") for _ in range(3)]
    async with asking(pod.app, asked) as answering:
        await asked.until(b"event: token")
        tasks = [asyncio.ensure_future(ask(pod.app, each)) for each in joining]
        await asyncio.sleep(1)
        assert all(len(seen(each)) == 2 for each in joining)
        await answering
        await asyncio.gather(*tasks)
    assert all(seen(one) == seen(other) for one, other in pairwise([asked, *joining]))


async def test_there_is_nothing_to_come_before_the_first_message_or_after_the_end() -> None:
    pod = four_events()
    path = await begin(pod)
    assert (await ask(pod.app, get(f"{path}/stream"))).status == 204
    first = await ask(pod.app, say(path))
    ended = await ask(pod.app, resume(path, seen(first)[-1]))
    assert (ended.status, ended.body) == (204, b"")


async def test_events_that_are_kept_no_longer_are_told_only_to_whom_they_are_missing() -> None:
    path, first = await answered(pod := four_events())
    await asyncio.sleep(61)
    assert (await ask(pod.app, get(f"{path}/stream"))).status == 204
    assert (await ask(pod.app, resume(path, seen(first)[1]))).status == 404


async def test_the_newest_answer_is_joined_and_an_older_one_is_still_resumed() -> None:
    path, first = await answered(pod := four_events())
    second = await ask(pod.app, say(path))
    assert seen(await ask(pod.app, get(f"{path}/stream"))) == seen(second)
    assert seen(await ask(pod.app, resume(path, seen(first)[0]))) == seen(first)[1:]


async def test_the_stream_of_another_conversation_is_not_shown() -> None:
    _, other = await answered(pod := four_events())
    path, _ = await answered(pod)
    answer = await ask(pod.app, resume(path, seen(other)[0]))
    assert (answer.status, answer.json()["code"]) == (404, "not_found")


async def test_an_unknown_conversation_has_no_stream() -> None:
    answer = await ask(four_events().app, get(f"{BASE}/{NOBODY}/stream"))
    assert (answer.status, answer.json()["code"]) == (404, "conversation_not_found")


@pytest.mark.parametrize("last", ["x", "-1", f"{NOBODY}-", "1-1", "9" * 16])
async def test_a_position_that_is_none_is_refused_by_its_name(last: str) -> None:
    path, _ = await answered(pod := four_events())
    by_header = await ask(pod.app, resume(path, last))
    by_query = await ask(pod.app, get(f"{path}/stream?after={last}"))
    assert [answer.status for answer in (by_header, by_query)] == [400, 400]
    assert [answer.json()["param"] for answer in (by_header, by_query)] == ["Last-Event-ID", "after"]


async def test_a_reader_who_leaves_takes_nothing_from_the_others() -> None:
    pod = four_events()
    path = await begin(pod)
    asked, joining = say(path), get(f"{path}/stream")
    async with asking(pod.app, asked) as answering, asking(pod.app, joining) as leaving:
        await joining.until(b"event: token")
        joining.left.set()
        await leaving
        await answering
    assert len(seen(asked)) == 4


async def test_cancelling_stops_the_upstream_and_keeps_what_had_come() -> None:
    script = FakeProvider(text("a"), 60.0, text("b"), [STOP])
    pod = Pod(script)
    path = await begin(pod)
    asked = say(path)
    async with asking(pod.app, asked) as answering:
        await asked.until(b"event: token")
        cancelled = await ask(pod.app, post(f"{path}/cancel", {}))
        await answering
    assert asyncio.get_running_loop().time() < 0.5
    assert (cancelled.status, script.open_streams) == (202, 0)
    assert seen(asked)[0].startswith(cancelled.json()["run"])
    assert b'"code":"cancelled"' in asked.body
    kept = (await ask(pod.app, get(f"{path}/messages"))).json()["messages"]
    assert (kept[1]["content"], kept[1]["status"]) == ("a", "cancelled")


async def test_cancelling_what_is_not_under_way_changes_nothing() -> None:
    path, _ = await answered(pod := four_events())
    answer = await ask(pod.app, post(f"{path}/cancel", {}))
    assert (answer.status, answer.json()["run"]) == (200, None)
    assert (await ask(pod.app, post(f"{BASE}/{NOBODY}/cancel", {}))).status == 404


@pytest.mark.feature(20)
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("policy", "kept"), [("continue", ("ab", "complete")), ("cancel", ("a", "cancelled"))])
async def test_an_answer_whose_client_leaves_becomes_what_the_policy_says(
    policy: Any,  # noqa: ANN401  # a literal
    kept: tuple[str, str],
    *,
    stream: bool,
) -> None:
    pod = four_events()
    pod.change("conversations", on_client_disconnect=policy)
    path = await begin(pod)
    asked = say(path, stream=stream)
    async with asking(pod.app, asked) as answering:
        await asyncio.sleep(1)
        asked.left.set()
        await answering
    await asyncio.sleep(5)
    message = (await ask(pod.app, get(f"{path}/messages"))).json()["messages"][1]
    assert (message["content"], message["status"]) == kept


async def test_a_message_sent_again_under_its_key_is_answered_once_and_gives_the_same_events() -> None:
    script = FakeProvider(text("a"), [STOP])
    path = await begin(pod := Pod(script))
    body = {"content": "Hi", "stream": True}
    first, again = [await ask(pod.app, post(f"{path}/messages", body, **{"idempotency-key": "k-1"})) for _ in range(2)]
    assert seen(again) == seen(first) != []
    assert len(script.asked) == 1


async def test_a_key_is_for_one_message_and_must_be_visible() -> None:
    path = await begin(pod := four_events())
    for content, key, status, code in (
        ("Hi", "k-1", 200, None),
        ("Ho", "k-1", 422, "idempotency_mismatch"),
        ("Hi", "a b", 400, "invalid_request"),
        ("Hi", "k" * 257, 400, "invalid_request"),
    ):
        answer = await ask(pod.app, post(f"{path}/messages", {"content": content}, **{"idempotency-key": key}))
        assert (answer.status, answer.json().get("code")) == (status, code)


@pytest.mark.parametrize(
    ("on_busy", "status", "kept"), [("reject", 409, "ab"), ("enqueue", 200, "ab"), ("interrupt", 200, "a")]
)
async def test_a_message_says_what_it_does_to_the_answer_before_it(on_busy: str, status: int, kept: str) -> None:
    path = await begin(pod := four_events())
    asked = say(path)
    async with asking(pod.app, asked) as answering:
        await asked.until(b"event: token")
        second = await ask(pod.app, post(f"{path}/messages", {"content": "And?", "on_busy": on_busy}))
        await answering
    assert second.status == status
    messages = (await ask(pod.app, get(f"{path}/messages"))).json()["messages"]
    assert messages[1]["content"] == kept


async def test_only_the_three_ways_to_be_busy_are_taken() -> None:
    path = await begin(pod := four_events())
    answer = await ask(pod.app, post(f"{path}/messages", {"content": "Hi", "on_busy": "wait"}))
    assert (answer.status, answer.json()["param"]) == (400, "on_busy")
