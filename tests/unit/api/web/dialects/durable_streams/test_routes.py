"""Reads of a run by the protocol of Durable Streams."""

import asyncio
import json
from typing import Any

import pytest

from chatfleet_api.web.dialects.durable_streams import routes
from chatfleet_api.web.dialects.durable_streams.request import offset_of
from harness.clients.asgi import Exchange, ask, asking, get, post
from harness.pods.api_pod import HEARTBEAT_SECONDS, Pod
from harness.pods.runs import STOP, FakeProvider, text

pytestmark = pytest.mark.looptime

BASE = "/api/v1/conversations"
NOBODY = "00000000-0000-7000-8000-999999999999"
WHOLE = ["start", "token", "token", "complete"]


def pod_of(*, pause: float = 2.0) -> Pod:
    return Pod(FakeProvider(text("a"), pause, text("b"), [STOP]))


async def begin(pod: Pod) -> tuple[Exchange, str]:
    """Return a message that is not sent yet, and its conversation."""
    conversation = (await ask(pod.app, post(BASE, {}))).json()["id"]
    return post(f"{BASE}/{conversation}/messages", {"content": "Hi", "stream": True}), conversation


def path_of(asked: Exchange, conversation: str) -> str:
    return f"{routes.PREFIX}/{conversation}/{asked.body.split(b'id: ')[1][:36].decode()}"


async def answered(pod: Pod) -> str:
    """Return the path of a run that has ended."""
    asked, conversation = await begin(pod)
    await ask(pod.app, asked)
    return path_of(asked, conversation)


async def read(pod: Pod, path: str, query: str = "", **headers: str) -> Exchange:
    return await ask(pod.app, get(path + query, **headers))


def place(answer: Exchange) -> tuple[str | None, ...]:
    """Return where the reader is, whether it has all there is, and whether nothing follows."""
    names = ("stream-next-offset", "stream-up-to-date", "stream-closed")
    return tuple(answer.headers.get(name) for name in names)


def types(messages: Any) -> list[str]:  # noqa: ANN401  # JSON
    return [each["type"] for each in messages]


def frames(answer: Exchange) -> list[tuple[str, Any]]:
    """Return the events of a stream, by kind."""
    lines = answer.body.decode().splitlines()
    kinds = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    data = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    return list(zip(kinds, data, strict=True))


def streamed(answer: Exchange) -> list[str]:
    """Return the types of the messages of a stream."""
    return types(message for kind, data in frames(answer) if kind == "data" for message in data)


async def test_a_run_that_has_ended_is_read_whole_and_closed() -> None:
    path = await answered(pod := pod_of())
    answer = await read(pod, path)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert types(answer.json()) == WHOLE
    assert answer.json()[1] == {"type": "token", "text": "a"}
    assert place(answer) == (offset_of(4), "true", "true")
    assert answer.headers["cache-control"] == "no-store"
    assert (await read(pod, path, "?offset=-1")).body == answer.body


@pytest.mark.parametrize("seen", [1, 2, 3])
async def test_each_offset_has_the_rest_and_nothing_twice(seen: int) -> None:
    path = await answered(pod := pod_of())
    answer = await read(pod, path, f"?offset={offset_of(seen)}")
    assert types(answer.json()) == WHOLE[seen:]
    assert place(answer) == (offset_of(4), "true", "true")


async def test_behind_the_end_there_is_only_its_sign() -> None:
    path = await answered(pod := pod_of())
    for offset in (offset_of(4), "now"):
        caught_up, polled, stream = [
            await read(pod, path, f"?offset={offset}{live}") for live in ("", "&live=long-poll", "&live=sse")
        ]
        assert (caught_up.status, caught_up.json()) == (200, [])
        assert (polled.status, polled.body) == (204, b"")
        assert place(caught_up) == place(polled) == (offset_of(4), "true", "true")
        assert frames(stream) == [
            ("control", {"streamNextOffset": offset_of(4), "upToDate": True, "streamClosed": True})
        ]
        assert ("etag" in caught_up.headers) is (offset != "now")


async def test_an_etag_spares_a_reader_what_it_has() -> None:
    path = await answered(pod := pod_of())
    answer = await read(pod, path)
    again = await read(pod, path, **{"if-none-match": answer.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    assert answer.headers["etag"].endswith(':c"')


async def test_head_has_the_end_and_no_body() -> None:
    pod = pod_of()
    asked, conversation = await begin(pod)
    async with asking(pod.app, asked) as answering:
        await asked.until(b"event: token")
        path = path_of(asked, conversation)
        meanwhile = await ask(pod.app, Exchange("HEAD", path))
        await answering
    ended = await ask(pod.app, Exchange("HEAD", path))
    assert [place(each) for each in (meanwhile, ended)] == [(offset_of(2), None, None), (offset_of(4), None, "true")]
    assert (ended.status, ended.body, ended.headers["content-type"]) == (200, b"", "application/json")


async def test_a_run_in_progress_is_read_as_far_as_it_is_without_waiting() -> None:
    pod = pod_of()
    asked, conversation = await begin(pod)
    async with asking(pod.app, asked) as answering:
        await asked.until(b"event: token")
        path = path_of(asked, conversation)
        before = asyncio.get_running_loop().time()
        first, now = await read(pod, path), await read(pod, path, "?offset=now")
        assert asyncio.get_running_loop().time() == before
        await answering
    assert (types(first.json()), now.json()) == (WHOLE[:2], [])
    assert place(first) == place(now) == (offset_of(2), "true", None)
    assert not first.headers["etag"].endswith(':c"')


async def test_a_long_poll_waits_for_the_next_events() -> None:
    pod = pod_of()
    asked, conversation = await begin(pod)
    async with asking(pod.app, asked) as answering:
        await asked.until(b"event: token")
        path = path_of(asked, conversation)
        got, offset, cursor = types((await read(pod, path)).json()), offset_of(2), "7"
        while len(got) < len(WHOLE):
            polled = await read(pod, path, f"?offset={offset}&live=long-poll&cursor={cursor}")
            got += types(polled.json())
            offset = polled.headers["stream-next-offset"]
            assert ("stream-cursor" in polled.headers) is ("stream-closed" not in polled.headers)
        await answering
    assert got == WHOLE
    assert place(polled) == (offset_of(4), "true", "true")


async def test_a_long_poll_that_gets_nothing_says_where_to_go_on() -> None:
    pod = pod_of(pause=3 * HEARTBEAT_SECONDS)
    asked, conversation = await begin(pod)
    async with asking(pod.app, asked):
        await asked.until(b"event: token")
        before = asyncio.get_running_loop().time()
        polled = await read(pod, path_of(asked, conversation), f"?offset={offset_of(2)}&live=long-poll&cursor=7")
        assert asyncio.get_running_loop().time() - before == pytest.approx(HEARTBEAT_SECONDS)
    assert (polled.status, polled.body, polled.headers["stream-cursor"]) == (204, b"", "8")
    assert place(polled) == (offset_of(2), "true", None)


async def test_a_stream_says_at_once_where_it_is_and_ends_with_the_run() -> None:
    pod = pod_of()
    asked, conversation = await begin(pod)
    async with asking(pod.app, asked) as answering:
        await asked.until(b"event: token")
        late = get(path_of(asked, conversation) + "?offset=now&live=sse")
        whole = get(path_of(asked, conversation) + "?offset=-1&live=sse")
        async with asking(pod.app, late) as tailing, asking(pod.app, whole) as reading:
            await late.until(b"event: control")
            await whole.until(b"event: control")
            assert frames(late) == [
                ("control", {"streamNextOffset": offset_of(2), "streamCursor": "1", "upToDate": True})
            ]
            await asyncio.gather(answering, tailing, reading)
    assert whole.headers["content-type"].startswith("text/event-stream")
    assert streamed(whole) == WHOLE
    assert streamed(late) == WHOLE[2:]
    for each in (whole, late):
        assert frames(each)[-1] == (
            "control",
            {"streamNextOffset": offset_of(4), "upToDate": True, "streamClosed": True},
        )


async def test_a_long_run_comes_in_several_responses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "MOST_EVENTS", 1)
    pod = pod_of()
    path, got, offset = await answered(pod), list[str](), "-1"
    await asyncio.sleep(0)
    while True:
        answer = await read(pod, path, f"?offset={offset}")
        got, offset = got + types(answer.json()), answer.headers["stream-next-offset"]
        if "stream-closed" in answer.headers:
            break
        assert "stream-up-to-date" not in answer.headers
    assert got == WHOLE


async def test_what_expired_is_gone_and_what_never_was_is_not_found() -> None:
    path = await answered(pod := pod_of())
    beyond = await read(pod, path, f"?offset={offset_of(5)}")
    conversation = path.split("/")[-2]
    unknown = [f"{routes.PREFIX}/{NOBODY}/{NOBODY}", f"{routes.PREFIX}/{conversation}/{NOBODY}", f"{routes.PREFIX}/x/y"]
    assert [(await read(pod, each)).status for each in unknown] == [404, 404, 404]
    await asyncio.sleep(61)
    for query in ("", "?offset=now&live=sse", f"?offset={offset_of(1)}&live=long-poll"):
        gone = await read(pod, path, query)
        assert (gone.status, gone.json()["code"]) == (410, "not_found")
    assert (await ask(pod.app, Exchange("HEAD", path))).status == 410
    assert beyond.status == 410


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
async def test_only_runs_write(method: str) -> None:
    path = await answered(pod := pod_of())
    refused = await ask(pod.app, Exchange(method, path, body=b"{}", headers={"content-type": "application/json"}))
    assert refused.status == 405
    assert types((await read(pod, path)).json()) == WHOLE
