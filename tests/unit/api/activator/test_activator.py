"""The activator: who waits, for how long, what is heard meanwhile, and what comes of it. Virtual time."""

import asyncio
import json

import pytest

from chatfleet_api.activator.response import ClientResponse
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.pod.lifecycle import Phase
from chatfleet_api.web.client import Client
from chatfleet_api.web.dialect import Dialect
from chatfleet_api.web.errors import CLOSE, error_response
from harness.clients.asgi import Exchange, ask, asking, get, post
from harness.pods.activator import JSON_BODY, FakeBackend, FakeResponse, Front
from harness.pods.dialects import EACH_DIALECT, path_of
from harness.pods.runs import loop_clock

pytestmark = pytest.mark.looptime

CHAT = "/v1/chat/completions"
MESSAGES = "/api/v1/conversations/0/messages"
BEAT = b": keep-alive\n"


def stream(path: str = CHAT, **headers: str) -> Exchange:
    return post(path, {"stream": True}, **headers)


async def after(seconds: float, pods: FakeBackend) -> None:
    """Let a pod be there from `seconds` on."""
    await asyncio.sleep(seconds)
    pods.up = True


async def test_a_request_is_held_until_there_is_a_pod_and_passed_on_as_it_came() -> None:
    pods = FakeBackend(answer=FakeResponse(201, [JSON_BODY, (b"x-own", b"1"), (b"date", b"today")], (b"{}",)))
    exchange = post(CHAT + "?a=%20b", {"model": "m"}, authorization="Bearer key", **{"x-request-id": "mine"})
    async with Front(pods) as front, asking(front.app, exchange) as answering:
        await asyncio.sleep(30)
        assert (exchange.sent, front.pending.waiting) == ([], 1)
        pods.up = True
        await answering
        assert front.pending.waiting == 0
        assert loop_clock() <= 30.6

    (asked,) = pods.asked
    assert (asked.method, asked.target, json.loads(asked.body)) == ("POST", CHAT + "?a=%20b", {"model": "m"})
    assert dict(asked.headers)[b"authorization"] == b"Bearer key"
    assert dict(asked.headers)[b"x-request-id"] == b"mine"
    assert (exchange.status, exchange.body, exchange.complete) == (201, b"{}", True)
    own = {"content-type": "application/json", "x-own": "1"}
    assert exchange.headers == own | {"x-request-id": "mine", "connection": "close"}


@pytest.mark.parametrize(("sent", "target"), [("*", "/*"), ("@evil.example/", "/@evil.example/"), ("//a", "//a")])
async def test_no_target_leads_to_another_host(sent: str, target: str) -> None:
    pods = FakeBackend(up=True)
    async with Front(pods) as front:
        await ask(front.app, Exchange("OPTIONS", sent))

    assert pods.asked[0].target == target


async def test_a_stream_hears_at_once_that_it_is_served_and_then_with_every_heartbeat_until_the_pod_speaks() -> None:
    pods = FakeBackend(thinks=20)
    exchange = stream()
    async with Front(pods) as front, asking(front.app, exchange) as answering:
        await asyncio.sleep(0.15)
        assert (exchange.status, exchange.body) == (200, BEAT)
        assert exchange.headers["content-type"].startswith("text/event-stream")
        assert exchange.headers["x-request-id"] == "made-id"
        await asyncio.sleep(15)
        assert exchange.body == BEAT * 2
        await after(5, pods)
        await answering

    assert exchange.body == BEAT * 3 + b"data: 1\n\ndata: [DONE]\n\n"  # the third while the pod was thinking
    assert exchange.complete


async def test_while_a_pod_is_there_a_stream_is_the_pods_alone_with_its_status_and_headers() -> None:
    pods = FakeBackend(up=True, answer=FakeResponse(429, [JSON_BODY, (b"retry-after", b"7")], (b'{"error":{}}',)))
    exchange = stream()
    async with Front(pods) as front:
        await asyncio.sleep(1)
        await ask(front.app, exchange)

    assert (exchange.status, exchange.headers["retry-after"], exchange.body) == (429, "7", b'{"error":{}}')


async def test_who_asks_for_no_stream_gets_nothing_before_its_answer() -> None:
    pods = FakeBackend(answer=FakeResponse(400, [JSON_BODY], (b"{}",)))
    exchange = post(CHAT, {"stream": False}, accept="text/event-stream")
    async with Front(pods) as front, asking(front.app, exchange) as answering:
        await after(40, pods)
        await answering

    assert (exchange.status, exchange.body) == (400, b"{}")


@EACH_DIALECT
@pytest.mark.parametrize("accept", ["*/*", "text/event-stream"])
@pytest.mark.parametrize("body", [{"stream": True}, {"stream": False}, {}, []])
async def test_what_counts_as_asking_for_a_stream_is_what_the_dialect_takes_for_it(
    dialect: Dialect, body: object, accept: str
) -> None:
    exchange = post(path_of(dialect), body, accept=accept)
    async with Front(FakeBackend()) as front, asking(front.app, exchange):
        await asyncio.sleep(1)
        assert bool(exchange.sent) is dialect.wants_stream(accept, json.dumps(body).encode())


async def test_the_time_that_a_request_is_held_is_bounded() -> None:
    plain, streamed = post(CHAT, {}), stream()
    async with Front(FakeBackend(), hold=60) as front:
        await asyncio.gather(ask(front.app, plain), ask(front.app, streamed))
        assert loop_clock() == pytest.approx(60, abs=0.1)
        assert front.pending.waiting == 0

    assert (plain.status, plain.headers["retry-after"]) == (503, "5")
    assert plain.json()["error"]["code"] == Code.STARTING
    assert streamed.status == 200
    last = streamed.body.removeprefix(BEAT * 4).removeprefix(b"event: error\ndata: ")
    assert json.loads(last)["error"]["code"] == Code.STARTING


async def test_the_number_that_is_held_is_bounded_and_a_place_is_free_again_when_somebody_leaves() -> None:
    waiting = [stream() for _ in range(2)]
    async with Front(FakeBackend(), places=2) as front, asking(front.app, waiting[0]), asking(front.app, waiting[1]):
        await asyncio.sleep(1)
        refused = await ask(front.app, post(CHAT, {}))
        assert (refused.status, refused.headers["retry-after"]) == (503, "5")
        assert refused.json()["error"]["code"] == Code.AT_CAPACITY
        assert refused.sent[0]["headers"].count(CLOSE) == 1
        waiting[0].left.set()
        await asyncio.sleep(0.1)
        assert front.pending.waiting == 1


async def test_the_bytes_that_are_held_are_bounded() -> None:
    async with Front(FakeBackend(), places=100) as front:
        large = [post(CHAT, {"stream": True, "text": "x" * 4_000_000}) for _ in range(17)]
        async with asyncio.TaskGroup() as tasks:
            calls = [tasks.create_task(ask(front.app, each)) for each in large]
            await asyncio.sleep(1)
            told = [each for each in large if each.complete]
            for each in large:
                each.left.set()
        assert all(call.done() for call in calls)

    assert [each.status for each in told] == [503]


async def test_a_client_that_leaves_ends_its_wait_and_later_its_answer() -> None:
    pods = FakeBackend(answer=FakeResponse(pieces=(b"data: 1\n\n",) * 9, pause=10))
    exchange = stream()
    async with Front(pods) as front, asking(front.app, exchange):
        pods.up = True
        await exchange.until(b"data: 1")
        assert pods.open == 1
        exchange.left.set()
        await asyncio.sleep(0.1)
        assert (pods.open, front.pending.waiting) == (0, 0)


@EACH_DIALECT
async def test_an_error_of_the_pod_after_the_200_is_the_last_event_of_the_dialect(dialect: Dialect) -> None:
    path, error = path_of(dialect), ChatError(Code.INVALID_REQUEST, "No.", param="model")
    answer = error_response(error, path, "made-id")
    exchange = stream(path)
    exchange.scope["state"] = {"request_id": "made-id"}
    client = Client(exchange.scope, exchange.receive, exchange.send)
    response = ClientResponse(client, streams=True, heartbeat_seconds=15)
    await response.keep_alive_until(asyncio.sleep(5))
    await response.relay(FakeResponse(answer.status, answer.headers, (answer.body,)))

    assert exchange.status == 200
    assert exchange.body == BEAT + dialect.errors.frame(error, "made-id")
    assert exchange.complete


async def test_an_error_of_the_pod_after_the_200_ends_the_stream() -> None:
    body = b'{"error":{"message":"No.","code":null,"param":"model"}}'
    exchange = stream()
    pods = FakeBackend(answer=FakeResponse(400, [JSON_BODY], (body,)))
    async with Front(pods) as front, asking(front.app, exchange) as answering:
        await after(5, pods)
        await answering

    data = b'{"error":{"message":"No.","type":"invalid_request_error","param":"model","code":null}}'
    assert exchange.body.removeprefix(BEAT) == b"event: error\ndata: " + data + b"\n\n"
    assert exchange.complete


async def test_nothing_to_come_after_the_200_is_an_empty_stream() -> None:
    pods = FakeBackend(answer=FakeResponse(204, [], ()))
    exchange = Exchange("GET", "/api/v1/conversations/0/stream", headers={"accept": "text/event-stream"})
    async with Front(pods) as front, asking(front.app, exchange) as answering:
        await after(5, pods)
        await answering

    assert (exchange.body, exchange.complete) == (BEAT, True)


async def test_a_pod_that_refuses_after_all_is_no_answer_and_the_wait_goes_on() -> None:
    pods = FakeBackend(up=True, refuses=2)
    async with Front(pods) as front:
        exchange = await ask(front.app, stream())

    assert exchange.body.endswith(b"data: [DONE]\n\n")
    assert len(pods.asked) == 1


async def test_a_request_that_a_pod_may_have_seen_is_never_sent_again() -> None:
    pods = FakeBackend(up=True, lost=True)
    async with Front(pods) as front:
        plain, streamed = post(CHAT, {}), stream()
        await asyncio.gather(ask(front.app, plain), ask(front.app, streamed))

    assert len(pods.asked) == 2
    assert (plain.status, plain.json()["error"]["code"]) == (503, Code.INTERRUPTED)
    assert b'"code":"interrupted"' in streamed.body


async def test_an_answer_that_is_cut_is_not_made_whole() -> None:
    pods = FakeBackend(up=True, answer=FakeResponse(cut=True))
    dropped: list[bool] = []
    exchange = stream()
    exchange.scope["extensions"] = {"chatfleet.abort": {"call": lambda: dropped.append(True)}}
    async with Front(pods) as front:
        await ask(front.app, exchange)

    assert (exchange.complete, dropped) == (False, [True])


@pytest.mark.parametrize("there", [False, True], ids=["while it waits", "while a pod answers"])
@pytest.mark.parametrize("streams", [True, False])
async def test_a_client_that_takes_nothing_is_dropped_without_a_word(
    caplog: pytest.LogCaptureFixture,
    there: bool,  # noqa: FBT001  # a table's column
    streams: bool,  # noqa: FBT001
) -> None:
    pods = FakeBackend(up=there)
    dropped: list[bool] = []
    exchange = post(CHAT, {"stream": streams})
    exchange.reading.clear()
    exchange.scope["extensions"] = {"chatfleet.abort": {"call": lambda: dropped.append(True)}}
    async with Front(pods, hold=1) as front:
        await ask(front.app, exchange)
        assert (front.pending.waiting, pods.open) == (0, 0)

    assert dropped == [True]
    assert loop_clock() <= 11.1
    assert "Request failed" not in caplog.text


@pytest.mark.parametrize("path", ["/live", "/ready", "/startup", "/health"])
async def test_a_load_balancer_that_looks_neither_waits_nor_wakes(path: str) -> None:
    async with Front(FakeBackend()) as front:
        assert (await ask(front.app, get(path))).status == 200
        assert front.pending.waiting == 0


async def test_it_is_ready_only_while_there_is_no_pod() -> None:
    pods = FakeBackend()
    async with Front(pods) as front:
        await asyncio.sleep(1)
        assert front.pending.not_ready() is None
        pods.up = True
        await asyncio.sleep(1)
        assert front.pending.not_ready() == "API pods are ready; requests go to them"
        pods.up = False
        await asyncio.sleep(1)
        assert front.pending.not_ready() is None
        front.lifecycle.enter(Phase.DRAINING)
        assert front.pending.not_ready() == "draining"


async def test_it_is_alive_while_it_looks() -> None:
    async with Front(FakeBackend()) as front:
        await asyncio.sleep(60.25)
        assert front.pending.not_live() is None
    await asyncio.sleep(11)
    assert front.pending.not_live() == "the last check for a ready pod was 11 s ago"
