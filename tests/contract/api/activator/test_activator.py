"""The activator as a process, before API pods as processes that come and go; asked by the vendor's own SDK."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import openai
import pytest
from openai.types.chat import ChatCompletionUserMessageParam
from typing_extensions import override

from chatfleet_api.activator.backend import ConnectionLostError, HTTPBackend, NoPodError, ProxiedRequest
from chatfleet_contract import metrics
from harness.net import free_port
from harness.pods.activator_process import ActivatorProcess, activator_process
from harness.pods.api_process import fetch
from harness.polling import eventually

HI: ChatCompletionUserMessageParam = {"role": "user", "content": "Say hello twice"}
BEAT = b": keep-alive\n"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[ActivatorProcess]:
    with activator_process(tmp_path) as process:
        yield process


@pytest.fixture
def later() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def story(running: ActivatorProcess, model: str = "count") -> str:
    """Stream an answer by the vendor's SDK."""
    with running.client().chat.completions.create(model=model, messages=[HI], stream=True) as chunks:
        return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def test_a_stream_waits_for_a_pod_that_comes_later_and_the_sdk_notices_nothing(
    running: ActivatorProcess, later: ThreadPoolExecutor
) -> None:
    told: list[Future[str]] = [later.submit(story, running) for _ in range(3)]
    whole = later.submit(lambda: running.client().chat.completions.create(model="echo", messages=[HI]))
    eventually(lambda: running.waiting() == 4, every=0.05)
    assert running.ready()
    assert f"{metrics.QUEUED_REQUESTS} 4.0".encode() in running.health("/metrics")[1]
    with running.pod():
        assert [each.result(20) for each in told] == ["1 2 3 4 5"] * 3
        assert whole.result(20).choices[0].message.content == HI["content"]
        eventually(lambda: not running.ready())
        assert running.waiting() == 0


def test_a_stream_is_opened_while_it_waits_and_what_the_pod_says_follows_byte_for_byte(
    running: ActivatorProcess, later: ThreadPoolExecutor
) -> None:
    asked = {"model": "count", "messages": [HI], "stream": True}
    held = later.submit(fetch, f"{running.url}/v1/chat/completions", asked)
    eventually(lambda: running.waiting() == 1, every=0.05)
    with running.pod() as pod:
        answer = held.result(20)
        direct = fetch(f"{pod.url}/v1/chat/completions", asked)
    frames = answer.body
    while frames.startswith(BEAT):
        frames = frames.removeprefix(BEAT)
    assert answer.body.startswith(BEAT)
    assert shape(frames) == shape(direct.body)
    assert frames.endswith(b"data: [DONE]\n\n")


def shape(frames: bytes) -> list[object]:
    """Return the chunks without what differs from run to run."""
    chunks = [line.removeprefix(b"data: ") for line in frames.splitlines() if line and line != b"data: [DONE]"]
    return [{**json.loads(chunk), "id": None, "created": None} for chunk in chunks]


def test_a_refusal_of_the_pod_reaches_the_sdk_in_a_stream_and_out_of_it(
    running: ActivatorProcess, later: ThreadPoolExecutor
) -> None:
    streamed = later.submit(story, running, "nobody")
    plain = later.submit(lambda: running.client().chat.completions.create(model="nobody", messages=[HI]))
    eventually(lambda: running.waiting() == 2, every=0.05)
    with running.pod():
        with pytest.raises(openai.APIError, match="nobody") as caught:
            streamed.result(20)
        assert caught.value.code == "model_not_found"
        with pytest.raises(openai.NotFoundError):
            plain.result(20)


def test_who_waits_too_long_is_told_so(tmp_path: Path, later: ThreadPoolExecutor) -> None:
    with activator_process(tmp_path, activation_timeout_seconds=1) as running:
        streamed = later.submit(story, running)
        with pytest.raises(openai.InternalServerError) as plain:
            running.client().chat.completions.create(model="echo", messages=[HI])
        assert (plain.value.status_code, plain.value.response.headers["retry-after"]) == (503, "5")
        with pytest.raises(openai.APIError, match="became ready"):
            streamed.result(20)


def test_it_is_ready_again_before_the_last_pod_takes_no_more(running: ActivatorProcess) -> None:
    with running.pod() as pod, ThreadPoolExecutor(1) as kubelet:
        eventually(lambda: not running.ready())
        hook = kubelet.submit(pod.drain)
        eventually(running.ready, every=0.05)
        assert not hook.done()
        assert fetch(f"{pod.url}/v1/models").status == 200
        hook.result(20)
        pod.program.terminate()
        assert pod.program.exit_status() == 0


def test_an_end_in_order_lets_those_who_wait_get_their_answers(
    running: ActivatorProcess, later: ThreadPoolExecutor
) -> None:
    told = later.submit(story, running)
    eventually(lambda: running.waiting() == 1, every=0.05)
    running.program.terminate()
    eventually(lambda: not running.ready())
    with running.pod():
        assert told.result(20) == "1 2 3 4 5"
        assert running.program.exit_status() == 0


def test_a_configuration_that_cannot_be_is_one_sentence_and_status_2() -> None:
    ended = subprocess.run(
        (sys.executable, "-m", "chatfleet_api.activator"), env={}, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("chatfleet-activator: CHATFLEET_ACTIVATOR is not valid: ")


class Raw(asyncio.Protocol):
    """A pod that answers with given bytes and then closes its connection."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    @override
    def data_received(self, data: bytes) -> None:  # whatever was asked
        assert isinstance(self._transport, asyncio.Transport)
        self._transport.write(self._answer)
        self._transport.close()


SENT = [(b"authorization", b"Bearer key"), (b"x-two", b"1"), (b"x-two", b"caf\xe9")]
ASKED = ProxiedRequest("POST", "/v1/chat/completions?a=%20b&c='|", SENT, b"{}")


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[HTTPBackend]:
    """Let a pod be there that answers everything with `answer`."""
    server = await asyncio.get_running_loop().create_server(lambda: Raw(answer), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield HTTPBackend(url, url)


async def read(pods: HTTPBackend, asked: ProxiedRequest = ASKED) -> bytes:
    async with pods.send(asked) as answer:
        return b"".join([chunk async for chunk in answer.chunks()])


@pytest.mark.parametrize(
    ("answer", "comes"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", b"{}"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}", ConnectionLostError),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n", ConnectionLostError),
        (b"", ConnectionLostError),
    ],
)
async def test_what_a_pod_did_not_answer_to_the_end_is_cut_off(answer: bytes, comes: bytes | type[Exception]) -> None:
    async with answering(answer) as pods:
        if isinstance(comes, bytes):
            assert await read(pods) == comes
        else:
            with pytest.raises(comes):
                await read(pods)
        assert not await pods.ready()


async def test_headers_come_as_they_were_sent_but_for_those_of_the_connection() -> None:
    head = b"HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nConnection: close\r\nSet-Cookie: caf\xe9\r\ncontent-length: 0\r\n\r\n"
    async with answering(head) as pods, pods.send(ASKED) as answer:
        assert answer.headers == [(b"set-cookie", b"a"), (b"set-cookie", b"caf\xe9"), (b"content-length", b"0")]


async def test_a_length_that_answers_a_head_announces_no_body() -> None:
    async with answering(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n") as pods:
        assert await read(pods, ASKED._replace(method="HEAD", body=b"")) == b""


async def test_where_nobody_listens_nobody_has_seen_the_request() -> None:
    unused = free_port()
    url = f"http://127.0.0.1:{unused}"
    pods = HTTPBackend(url, url)
    with pytest.raises(NoPodError):
        await read(pods)
    assert not await pods.ready()


async def test_a_request_reaches_the_pod_as_it_came() -> None:
    seen = asyncio.get_running_loop().create_future()

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.set_result(await reader.readuntil(b"{}"))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(note, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    pods = HTTPBackend(url, url)
    async with server:
        assert await read(pods) == b""
    head, _, body = (await seen).partition(b"\r\n\r\n")
    first, *headers = head.split(b"\r\n")
    assert (first, body) == (b"POST /v1/chat/completions?a=%20b&c='| HTTP/1.1", b"{}")
    assert headers[: len(SENT)] == [b"%b: %b" % header for header in SENT]
    added = {header.partition(b":")[0] for header in headers[len(SENT) :]}
    assert added == {b"host", b"content-length", b"connection"}
